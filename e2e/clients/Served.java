import com.sun.net.httpserver.Filter;
import com.sun.net.httpserver.HttpContext;
import com.sun.net.httpserver.HttpExchange;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** What clients.test.js visits: Served GATEWAY LABEL [fail]. */
public final class Served {
    private static final Semaphore GO = new Semaphore(0);
    private static final CyclicBarrier TOGETHER = new CyclicBarrier(300);
    private static final List<String> EVENTS = new CopyOnWriteArrayList<>();

    public static void main(String[] args) throws IOException {
        ReverseHttp server = ReverseHttp.create(args[0], args[1], null, null, args.length < 3);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(1)));
        server.createContext("/", x -> text(x, 200, "hello"));
        server.createContext("/digest", Served::digest);
        server.createContext("/echo", Served::echo);
        server.createContext("/large", x -> {
            try (OutputStream out = begin(x)) {
                out.write("é".repeat(6_500_000).getBytes(StandardCharsets.UTF_8));
            }
        });
        server.createContext("/live", Served::live);
        server.createContext("/stream", Served::stream);
        server.createContext("/go", x -> {
            GO.release();
            text(x, 200, "gone");
        });
        server.createContext("/hint", x -> {
            x.getResponseHeaders().set("Link", "</a.css>; rel=preload");
            x.sendResponseHeaders(103, -1);
            text(x, 200, "hinted");
        });
        server.createContext("/together", Served::together);
        server.createContext("/throws", x -> {
            throw new IllegalStateException("as it should");
        });
        server.createContext("/invalid", x -> {
            x.getResponseHeaders().set("Transfer-Encoding", "gzip");
            text(x, 200, "no");
        });
        server.createContext("/breaks", x -> {
            begin(x).flush();
            x.getResponseBody().write("some".getBytes());
            x.getResponseBody().flush();
            throw new IllegalStateException("as it should");
        });
        server.createContext("/endless", Served::endless);
        server.createContext("/upload", Served::upload);
        server.createContext("/count", x -> {
            EVENTS.add("counted");
            text(x, 200, "" + Collections.frequency(EVENTS, "counted"));
        });
        server.createContext("/events", x -> text(x, 200, String.join(" ", EVENTS)));
        HttpContext filtered = server.createContext("/filtered", x -> text(x, 200, "filtered"));
        filtered.getFilters().add(Filter.beforeHandler("counts", x -> EVENTS.add("filter")));
        server.start();
        System.out.println(server.url());
    }

    private static void text(HttpExchange x, int status, String text) throws IOException {
        byte[] content = text.getBytes(StandardCharsets.UTF_8);
        x.sendResponseHeaders(status, content.length == 0 ? -1 : content.length);
        try (OutputStream out = x.getResponseBody()) {
            out.write(content);
        }
    }

    private static OutputStream begin(HttpExchange x) throws IOException {
        x.sendResponseHeaders(200, 0);
        return x.getResponseBody();
    }

    private static void digest(HttpExchange x) throws IOException {
        try (InputStream in = x.getRequestBody()) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            byte[] piece = new byte[10_000];
            for (int n; (n = in.read(piece)) >= 0; ) {
                digest.update(piece, 0, n);
            }
            text(x, 200, HexFormat.of().formatHex(digest.digest()));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IOException(e);
        }
    }

    private static void echo(HttpExchange x) throws IOException {
        try (OutputStream out = begin(x)) {
            x.getRequestBody().transferTo(out);
        }
    }

    private static BufferedReader reader(HttpExchange x) {
        return new BufferedReader(new InputStreamReader(x.getRequestBody()));
    }

    private static void live(HttpExchange x) throws IOException {
        BufferedReader in = reader(x);
        try (OutputStream out = begin(x)) {
            out.write(("got " + in.readLine() + "\n").getBytes());
            out.write(("got " + in.readLine() + "\n").getBytes());
        }
    }

    private static void stream(HttpExchange x) throws IOException {
        try (OutputStream out = begin(x)) {
            out.write("first".getBytes());
            await();
            out.write("second".getBytes());
            out.flush();
            await();
            out.write("last".getBytes());
        }
    }

    private static void await() {
        try {
            if (!GO.tryAcquire(30, TimeUnit.SECONDS)) {
                throw new IllegalStateException("nobody said go");
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void together(HttpExchange x) throws IOException {
        try {
            TOGETHER.await(30, TimeUnit.SECONDS);
        } catch (Exception e) {
            throw new IOException(e);
        }
        text(x, 200, "together");
    }

    private static void endless(HttpExchange x) throws IOException {
        OutputStream out = begin(x);
        try {
            for (byte[] piece = new byte[10_000]; ; ) {
                out.write(piece);
            }
        } catch (IOException e) {
            EVENTS.add("write failed");
        }
    }

    private static void upload(HttpExchange x) throws IOException {
        BufferedReader in = reader(x);
        OutputStream out = begin(x);
        out.write((in.readLine() + "\n").getBytes());
        out.flush();
        EVENTS.add("about to read");
        try {
            in.readLine();
        } catch (IOException e) {
            EVENTS.add("read failed");
        }
    }
}
