import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.net.URI;
import java.net.http.*;
import java.util.function.UnaryOperator;

/** Answers HTTP requests, one after another: java Server.java [GATEWAY [LABEL]]. */
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
        if (response.statusCode() < 300) return response;
        throw new IllegalStateException(response + " " + new String(response.body(), ISO_8859_1));
    }

    static URI link(HttpResponse<?> got, String rel) { // <URL>; rel="first", and more of them.
        var url = String.join(",", got.headers().allValues("Link")).split(">; rel=\"" + rel)[0];
        return URI.create(url.substring(url.lastIndexOf('<') + 1));
    }

    public static void main(String[] args) throws Exception {
        String gateway = args.length > 0 ? args[0] : "http://localhost:8080";
        URI door = URI.create(gateway.replaceAll("/+$", "") + "/reversehttp");
        Thread.setDefaultUncaughtExceptionHandler((t, e) -> System.err.println(door + ": " + e));
        byte[] form = ("name=" + (args.length > 1 ? args[1] : "demo")).getBytes(ISO_8859_1);
        var claimed = send(door, "application/x-www-form-urlencoded", form);
        System.out.println(link(claimed, "related"));
        for (URI url, next = link(claimed, "first"); ; )
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
