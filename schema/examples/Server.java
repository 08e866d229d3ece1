import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.net.URI;
import java.net.http.*;
import java.util.function.UnaryOperator;

/** Answers HTTP requests, one after another: java Server.java GATEWAY LABEL. */
public class Server {
    static UnaryOperator<byte[]> handler = request -> { // Both are messages of HTTP/1.1.
        String line = new String(request, ISO_8859_1).split(" HTTP/", 2)[0];
        return ("HTTP/1.1 200 OK\r\n\r\n" + line + "\n").getBytes(ISO_8859_1);
    };

    static final HttpClient CLIENT = HttpClient.newHttpClient();

    static HttpResponse<byte[]> send(URI url, String type, byte[] content) throws Exception {
        var request = HttpRequest.newBuilder(url).header("Content-Type", type);
        if (content != null) request.POST(HttpRequest.BodyPublishers.ofByteArray(content));
        var response = CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        if (response.statusCode() >= 300) throw new IllegalStateException(response.toString());
        return response;
    }

    static URI link(HttpResponse<?> response, String relation) {
        String links = String.join(", ", response.headers().allValues("Link"));
        links = links.substring(0, links.indexOf(">; rel=\"" + relation + "\""));
        return URI.create(links.substring(links.lastIndexOf('<') + 1)); // <URL>; rel="relation"
    }

    public static void main(String[] args) throws Exception {
        URI door = URI.create(args[0] + "/reversehttp");
        byte[] form = ("name=" + args[1]).getBytes(ISO_8859_1);
        var claimed = send(door, "application/x-www-form-urlencoded", form);
        System.out.println(link(claimed, "related"));
        for (URI url, next = link(claimed, "first"); ; ) {
            try {
                var got = send(url = next, "", null);
                next = link(got, "next"); // So with 204: nothing came within the wait.
                if (got.statusCode() == 200) send(url, "message/http", handler.apply(got.body()));
            } catch (Exception e) {
                System.err.println(e); // The URL outlives a restart of the gateway.
                Thread.sleep(1000);
            }
        }
    }
}
