import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Answers vectors with the client: Client GATEWAY LABEL ANSWERS. */
public final class Client {
    private static Map<?, ?> answers;

    public static void main(String[] args) throws IOException {
        answers = (Map<?, ?>) ReverseHttp.Json.read(Files.readString(Path.of(args[2])));
        ReverseHttp server = ReverseHttp.serve(args[0], args[1], Client::answer);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(1)));
        System.out.println(server.url());
    }

    private static void answer(HttpExchange exchange) throws IOException {
        Map<?, ?> envelope = (Map<?, ?>) exchange.getAttribute(ReverseHttp.REQUEST);
        Map<String, Object> shown = new LinkedHashMap<>();
        shown.put("method", exchange.getRequestMethod());
        shown.put("httpVersion", exchange.getProtocol().substring("HTTP/".length()));
        shown.put("remoteAddr", exchange.getRemoteAddress().toString().substring(1));
        List<Object> fields = new ArrayList<>();
        exchange.getRequestHeaders()
                .forEach((name, values) -> values.forEach(v -> fields.add(List.of(name, v))));
        shown.put("headers", fields);
        byte[] content = exchange.getRequestBody().readAllBytes();
        shown.put("bodyBase64", Base64.getEncoder().encodeToString(content));
        // What an HttpExchange has no place for; its URI takes no target that is none.
        for (String member : List.of("target", "url", "base", "attempt")) {
            shown.put(member, envelope.get(member));
        }
        System.out.println(ReverseHttp.Json.write(shown));

        Map<?, ?> answer = (Map<?, ?>) answers.get(exchange.getRequestHeaders().getFirst("Vector"));
        if (answer.get("headers") instanceof List<?> pairs) {
            for (Object pair : pairs) {
                List<?> field = (List<?>) pair;
                exchange.getResponseHeaders().add((String) field.get(0), (String) field.get(1));
            }
        }
        byte[] body = Base64.getDecoder().decode((String) answer.get("bodyBase64"));
        int status = ((Long) answer.get("status")).intValue();
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            if (body.length > 0) {
                out.write(body);
            }
        }
    }
}
