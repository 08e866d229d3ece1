import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Answers vectors with the example: Example GATEWAY LABEL ANSWERS. */
public final class Example {
    private static Map<?, ?> answers;

    public static void main(String[] args) throws Exception {
        answers = (Map<?, ?>) ReverseHttp.Json.read(Files.readString(Path.of(args[2])));
        Server.handler = Example::answer;
        Server.main(args);
    }

    /** Reads a request message, and writes a response message. */
    private static byte[] answer(byte[] request) {
        String text = new String(request, ISO_8859_1);
        int end = text.indexOf("\r\n\r\n");
        List<String> lines = List.of(text.substring(0, end).split("\r\n"));
        byte[] content = Arrays.copyOfRange(request, end + 4, request.length);
        String[] line = lines.get(0).split(" ");
        Map<String, Object> shown = new LinkedHashMap<>();
        shown.put("method", line[0]);
        shown.put("target", line[1]);
        shown.put("httpVersion", line[2].substring("HTTP/".length()));
        List<Object> fields = new ArrayList<>();
        String vector = null;
        for (String field : lines.subList(1, lines.size())) {
            String[] pair = field.split(":", 2);
            fields.add(List.of(pair[0], pair[1].strip()));
            vector = pair[0].equals("Vector") ? pair[1].strip() : vector;
        }
        shown.put("headers", fields);
        shown.put("bodyBase64", Base64.getEncoder().encodeToString(content));
        System.out.println(ReverseHttp.Json.write(shown));

        Map<?, ?> answer = (Map<?, ?>) answers.get(vector);
        byte[] body = Base64.getDecoder().decode((String) answer.get("bodyBase64"));
        StringBuilder head = new StringBuilder("HTTP/1.1 " + answer.get("status") + " ?\r\n");
        boolean counted = body.length == 0;
        if (answer.get("headers") instanceof List<?> pairs) {
            for (Object pair : pairs) {
                List<?> field = (List<?>) pair;
                head.append(field.get(0)).append(": ").append(field.get(1)).append("\r\n");
                counted |= ((String) field.get(0)).equalsIgnoreCase("Content-Length");
            }
        }
        if (!counted) {
            head.append("Content-Length: ").append(body.length).append("\r\n");
        }
        ByteArrayOutputStream message = new ByteArrayOutputStream();
        try {
            message.write(head.append("\r\n").toString().getBytes(ISO_8859_1));
            message.write(body);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return message.toByteArray();
    }
}
