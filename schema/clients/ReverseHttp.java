import com.sun.net.httpserver.Authenticator;
import com.sun.net.httpserver.Filter;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpContext;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpPrincipal;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * An {@link HttpServer} that listens nowhere: it has a public URL of a gateway, and takes handlers
 * of {@code com.sun.net.httpserver} unchanged.
 *
 * <pre>{@code
 * ReverseHttp server = ReverseHttp.create("http://localhost:8080", "demo");
 * server.createContext("/", exchange -> {
 *     exchange.sendResponseHeaders(200, 0);
 *     try (OutputStream body = exchange.getResponseBody()) {
 *         body.write("hello".getBytes());
 *     }
 * });
 * server.start();
 * System.out.println(server.url());
 * }</pre>
 *
 * <p>What differs from the server of the JDK:
 *
 * <ul>
 *   <li>Without {@link #setExecutor} each exchange has a thread of its own.
 *   <li>What is written reaches the visitor as it comes: at once after {@code flush()}, and else 20
 *       ms after the first write. Writing waits while the visitor is slow, and fails once nobody
 *       wants it; so does reading, where the visitor does not send all its content.
 *   <li>A handler that throws makes a 500, or cuts short what it had begun.
 *   <li>{@code sendResponseHeaders(103, -1)} sends Early Hints, and the answer may follow.
 *       WebSockets are not for this client.
 *   <li>The attribute {@code "reversehttp.request"} of an exchange is the request as the gateway
 *       gave it: a Map with id, url, base, target, attempt and so on. A target that is no URI, such
 *       as {@code /%zz|}, has what is illegal escaped in {@code getRequestURI()}. The path of the
 *       base is taken off.
 * </ul>
 *
 * <p>A gateway that is away at the start is waited for, which is logged once; create has a
 * parameter to make that an error. The proxies of HTTP_PROXY, HTTPS_PROXY and NO_PROXY are heeded where no
 * system property, such as http.proxyHost, names others.
 *
 * <p>Delivery is at most once: a request that a handler may have begun is begun by no other. The
 * label is taken back with its token after the connection, or the gateway, was gone.
 *
 * <p>Java 17 or later, and nothing else. One file: copy it. The protocol is that of
 * schema/README.md.
 */
public final class ReverseHttp extends HttpServer {
    /** The attribute of an exchange that holds the request as the gateway gave it. */
    public static final String REQUEST = "reversehttp.request";

    private static final Duration CALL = Duration.ofSeconds(30);
    /** For answers that are held back while a visitor is slow, which the gateway ends sooner. */
    private static final Duration HELD = Duration.ofMinutes(10);
    private static final int WHOLE_BYTES = 65_536;
    private static final long WHOLE_MS = 20;
    /** Below so many bytes a part is not cut again where it was too large for something. */
    private static final int LEAST_PART = 1024;
    /** How long a part of an answer is tried to be sent again. */
    private static final Duration PART = Duration.ofSeconds(60);
    private static final String TOO_LARGE = "too large";
    private static final int REMEMBERED = 4096;

    /** HTTP/1.1: an offer of h2c with a request is no use here. */
    private final Proxies proxies = Proxies.of(System.getenv());

    private final HttpClient client =
            HttpClient.newBuilder()
                    .proxy(proxies)
                    .version(HttpClient.Version.HTTP_1_1)
                    .executor(Executors.newCachedThreadPool(daemon("reversehttp-client")))
                    .build();

    private final ScheduledExecutorService timer =
            Executors.newSingleThreadScheduledExecutor(daemon("reversehttp-timer"));
    private final Executor threads = Executors.newCachedThreadPool(daemon("reversehttp-handler"));
    private final String key;
    private URI claims;

    // The monitor of this guards what follows, and is notified of its changes.
    private final Map<String, Object> wish = new LinkedHashMap<>();
    private final Map<String, Exchange> live = new HashMap<>();
    private final Map<String, Object> over =
            new LinkedHashMap<>() {
                @Override
                protected boolean removeEldestEntry(Map.Entry<String, Object> eldest) {
                    return size() > REMEMBERED;
                }
            };
    private final List<Context> contexts = new ArrayList<>();
    private Executor executor;
    private Session session;
    private CompletableFuture<?> polling;
    private Thread poller;
    private boolean stopping;
    private boolean closed;
    /** The most content of a part, which something on the way may lower. */
    private volatile int partBytes = WHOLE_BYTES;

    private ReverseHttp(String gateway, String label, String token, String key, boolean waits)
            throws IOException {
        this.key = key;
        wish.put("label", label);
        wish.put("token", token);
        Backoff backoff = new Backoff();
        boolean said = false;
        while (true) {
            try {
                claims = find(gateway);
                claim();
                return;
            } catch (IOException e) {
                if (!waits || e instanceof Refused refused && refused.status < 500) {
                    throw e;
                }
                if (!said) {
                    log(System.Logger.Level.WARNING, e.getMessage() + "; waiting for it", null);
                }
                said = true;
                try {
                    Thread.sleep(Math.min(backoff.nextMs(0), 5_000));
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                    throw e;
                }
            }
        }
    }

    /** Asks a gateway where labels are claimed. */
    private URI find(String gateway) throws IOException {
        if (!gateway.matches("(?i)https?://.+")) {
            throw new IllegalArgumentException(
                    gateway + ": give the gateway as http://... or https://...");
        }
        URI known = URI.create(gateway).resolve("/.well-known/reversehttp");
        try {
            return URI.create(string(call("GET", known, null, null, CALL), "claims"));
        } catch (Refused e) {
            if (e.status < 500) {
                throw e;
            }
            throw new IOException(gateway + ": no gateway answers (" + e.getMessage() + ")", e);
        } catch (IOException e) {
            String why = " (" + e.getMessage() + "): start it, or name another";
            throw new IOException(gateway + ": no gateway answers there" + why, e);
        }
    }

    /** Claims a label that the gateway picks. */
    public static ReverseHttp create(String gateway) throws IOException {
        return create(gateway, null);
    }

    /** Claims a label; null lets the gateway pick one. */
    public static ReverseHttp create(String gateway, String label) throws IOException {
        return create(gateway, label, null, null);
    }

    /** Claims a label, and waits for a gateway that does not answer yet. */
    public static ReverseHttp create(String gateway, String label, String token, String key)
            throws IOException {
        return create(gateway, label, token, key, true);
    }

    /**
     * Claims a label.
     *
     * @param label null lets the gateway pick one
     * @param token what owns the label, to have it back; null lets the gateway mint one
     * @param key for a gateway that lends labels to holders of a key only; else null
     * @param waits whether to wait for a gateway that does not answer, which is logged once
     * @throws Refused where the gateway refuses
     * @throws IOException where it does not answer, and that is not waited for
     * @throws IllegalArgumentException where it is not given as an http or https URL
     */
    public static ReverseHttp create(
            String gateway, String label, String token, String key, boolean waits)
            throws IOException {
        return new ReverseHttp(gateway, label, token, key, waits);
    }

    /** Claims a label and serves it with one handler. */
    public static ReverseHttp serve(String gateway, String label, HttpHandler handler)
            throws IOException {
        ReverseHttp server = create(gateway, label);
        server.createContext("/", handler);
        server.start();
        return server;
    }

    /** The public URL, with a final slash. */
    public String url() {
        return string(session().claim, "url");
    }

    public String label() {
        return string(session().claim, "label");
    }

    /** The secret that owns the label. */
    public String token() {
        return string(session().claim, "token");
    }

    /** There is nothing to bind. */
    @Override
    public void bind(InetSocketAddress address, int backlog) {
        throw new IllegalStateException("a label is claimed; no address is bound");
    }

    @Override
    public synchronized void start() {
        if (poller != null || stopping) {
            throw new IllegalStateException("started or stopped before");
        }
        poller = new Thread(this::pollOn, "reversehttp-poll");
        poller.start();
    }

    /** What runs exchanges; null, the default, gives each a thread. */
    @Override
    public synchronized void setExecutor(Executor executor) {
        if (poller != null) {
            throw new IllegalStateException("started before");
        }
        this.executor = executor;
    }

    @Override
    public synchronized Executor getExecutor() {
        return executor;
    }

    /**
     * Ends the session, after what runs was answered, or so many seconds. The label is kept for its
     * lease. May be called again.
     */
    @Override
    public void stop(int delay) {
        Session last;
        synchronized (this) {
            if (closed) {
                return;
            }
            stopping = true;
            notifyAll();
            if (polling != null) {
                polling.cancel(true);
            }
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(delay);
            try {
                // The thread that polls begins nothing any more once it has ended.
                while (poller != null && poller.isAlive() && poller != Thread.currentThread()) {
                    wait(10);
                }
                for (long left; !live.isEmpty() && (left = end - System.nanoTime()) > 0; ) {
                    TimeUnit.NANOSECONDS.timedWait(this, left);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            closed = true;
            notifyAll();
            last = session;
            for (Exchange x : List.copyOf(live.values())) {
                x.cancel();
            }
        }
        timer.shutdownNow();
        if (!last.ended) {
            try {
                send(last.request("session", Duration.ofSeconds(5))
                                .header("Last-Event-ID", last.cursor)
                                .DELETE()
                                .build())
                        .get();
            } catch (ExecutionException | InterruptedException e) {
                // The gateway finds out: nobody polls any more.
            }
        }
    }

    @Override
    public synchronized HttpContext createContext(String path, HttpHandler handler) {
        HttpContext context = createContext(path);
        context.setHandler(handler);
        return context;
    }

    @Override
    public synchronized HttpContext createContext(String path) {
        if (!path.startsWith("/") || contexts.stream().anyMatch(c -> c.path.equals(path))) {
            throw new IllegalArgumentException("no path, or one that has a context: " + path);
        }
        Context context = new Context(path);
        contexts.add(context);
        return context;
    }

    @Override
    public synchronized void removeContext(String path) {
        if (!contexts.removeIf(c -> c.path.equals(path))) {
            throw new IllegalArgumentException("no context: " + path);
        }
    }

    @Override
    public synchronized void removeContext(HttpContext context) {
        removeContext(context.getPath());
    }

    /** Host and port of the public URL. */
    @Override
    public InetSocketAddress getAddress() {
        URI url = URI.create(url());
        int port = url.getPort() > 0 ? url.getPort() : url.getScheme().equals("https") ? 443 : 80;
        return InetSocketAddress.createUnresolved(url.getHost(), port);
    }

    // What follows polls. Invariants: one poll at a time; its cursor names what was begun, so the
    // gateway gives again what never came here.

    private void pollOn() {
        Backoff backoff = new Backoff();
        boolean failed = false;
        while (!isStopping()) {
            Session at = session();
            try {
                if (at.ended) {
                    claim();
                    failed = false;
                    continue;
                }
                long wait = failed ? 0 : number(map(at.claim, "limits"), "waitSeconds");
                long since = System.nanoTime();
                Map<String, Object> batch = poll(at, wait);
                if (batch != null) {
                    at.cursor = string(batch, "cursor");
                    for (Object message : list(batch, "messages")) {
                        begin(take(map(message)));
                    }
                }
                // Who answers sooner than asked did not wait.
                long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - since);
                if (batch != null || wait == 0 || tookMs > 1000) {
                    backoff.reset();
                } else {
                    rest(backoff.nextMs(0));
                }
                failed = false;
            } catch (IOException | RuntimeException e) {
                failed = true;
                long askedMs = 0;
                if (e instanceof Refused refused) {
                    askedMs = refused.retryAfterMs;
                    if (refused.over()) {
                        lose(at, !refused.code.equals("draining"));
                    } else if (refused.isFinal()) {
                        lose(at, true);
                        log(System.Logger.Level.ERROR, "the claim is lost: " + refused.code, e);
                        stop(0);
                        return;
                    }
                }
                rest(backoff.nextMs(askedMs));
            }
        }
    }

    private Map<String, Object> poll(Session at, long wait) throws IOException {
        HttpRequest request =
                at.request("requests", CALL.plusSeconds(wait))
                        .header("Prefer", "wait=" + wait)
                        .header("Last-Event-ID", at.cursor)
                        .build();
        CompletableFuture<HttpResponse<byte[]>> answer;
        synchronized (this) {
            if (stopping) {
                return null;
            }
            answer = send(request);
            polling = answer;
        }
        return read(answer);
    }

    private void claim() throws IOException {
        Map<String, Object> wanted;
        synchronized (this) {
            wanted = new LinkedHashMap<>(wish);
        }
        wanted.values().removeIf(v -> v == null);
        Map<String, Object> claim = call("POST", claims, key, wanted, CALL);
        synchronized (this) {
            if (session != null && session.lost) {
                // What a lost session streams is over, even where no cancel can come any more.
                live.values().stream().filter(Exchange::streams).forEach(Exchange::cancel);
            }
            if (session == null && map(claim, "limits").get("partBytes") instanceof Long bytes) {
                partBytes = bytes.intValue();
            }
            session = new Session(claim);
            wish.put("label", claim.get("label"));
            wish.put("token", claim.get("token"));
            notifyAll();
        }
    }

    /** Takes note that a session gets nothing any more and, where it is lost, cannot answer. */
    private synchronized void lose(Session at, boolean lost) {
        boolean polled = !at.ended && at == session && Thread.currentThread() != poller;
        at.ended = true;
        at.lost |= lost;
        if (polled && polling != null) {
            polling.cancel(true);
        }
    }

    /** Takes a message, and gives the exchange that it begins. */
    private synchronized Exchange take(Map<String, Object> message) throws IOException {
        String id = string(message, "id");
        Exchange x = live.get(id);
        if ("cancel".equals(message.get("type")) && x != null) {
            x.cancel();
        }
        if (!"request".equals(message.get("type"))) {
            return null;
        }
        if (x != null) {
            x.again = true;
            return null;
        }
        // An id is begun once. An answer that a lost session could not deliver is posted again.
        Object untaken = over.get(id);
        if (over.containsKey(id) && untaken == null) {
            return null;
        }
        Exchange begun = new Exchange(message);
        begun.untaken = untaken;
        live.put(id, begun);
        return begun;
    }

    private void begin(Exchange x) {
        if (x == null) {
            return;
        }
        Executor chosen = getExecutor();
        try {
            (chosen != null ? chosen : threads).execute(x::run);
        } catch (RejectedExecutionException e) {
            threads.execute(x.answer::fail);
        }
    }

    private synchronized void ended(Exchange x) {
        if (live.remove(x.id, x)) {
            over.put(x.id, x.untaken);
            notifyAll();
        }
    }

    private synchronized Session session() {
        return session;
    }

    private synchronized boolean isStopping() {
        return stopping;
    }

    /** Waits, unless this stops or has another session than it had. */
    private synchronized void rest(long ms) {
        Session at = session;
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(ms);
        try {
            for (long left;
                    !stopping && session == at && (left = end - System.nanoTime()) > 0; ) {
                TimeUnit.NANOSECONDS.timedWait(this, left);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Posts one message; gives its result, null when it is too late. */
    private Map<String, Object> post(Map<String, Object> message, Exchange x) {
        Backoff backoff = new Backoff();
        boolean part = "part".equals(message.get("type"));
        long deadline = part ? System.nanoTime() + PART.toNanos() : x.deadline;
        while (System.nanoTime() < deadline) {
            Session at;
            synchronized (this) {
                if (closed) {
                    break;
                }
                at = session;
                if (!at.lost) {
                    x.again = false;
                }
            }
            long askedMs = 0;
            try {
                if (!at.lost) {
                    URI url = URI.create(string(at.claim, "responses"));
                    Map<String, Object> answer =
                            call("POST", url, string(at.claim, "token"), message, HELD);
                    Map<String, Object> result = map(list(answer, "results").get(0));
                    synchronized (this) {
                        // Where it came again meanwhile it became this session's.
                        if (!"unknown".equals(result.get("status")) || !x.again) {
                            return result;
                        }
                    }
                }
            } catch (Refused e) {
                askedMs = e.retryAfterMs;
                if (e.over() && !e.code.equals("draining")) {
                    lose(at, true);
                } else if (e.status == 413) {
                    return Map.of("status", TOO_LARGE, "detail", e.getMessage());
                } else if (e.isFinal()) {
                    return Map.of("status", "invalid", "detail", e.getMessage());
                }
            } catch (IOException | RuntimeException e) {
                // The gateway is away; it may come back.
            }
            rest(backoff.nextMs(askedMs));
        }
        return null;
    }

    private Map<String, Object> call(
            String method, URI url, String bearer, Object message, Duration within)
            throws IOException {
        HttpRequest.Builder request = HttpRequest.newBuilder(url).timeout(within);
        if (bearer != null) {
            request.header("Authorization", "Bearer " + bearer);
        }
        if (message == null) {
            request.method(method, BodyPublishers.noBody());
        } else {
            request.header("Content-Type", "application/json")
                    .method(method, BodyPublishers.ofString(Json.write(message)));
        }
        return read(send(request.build()));
    }

    private CompletableFuture<HttpResponse<byte[]>> send(HttpRequest request) {
        return client.sendAsync(proxies.pass(request), BodyHandlers.ofByteArray());
    }

    /** Waits for an answer and gives its object; null where it has none. */
    private static Map<String, Object> read(CompletableFuture<HttpResponse<byte[]>> answer)
            throws IOException {
        HttpResponse<byte[]> response = await(answer);
        if (response.statusCode() >= 300) {
            throw Refused.of(response.statusCode(), response.headers().firstValue("Retry-After"),
                    response.body());
        }
        return response.body().length == 0 ? null : map(Json.read(text(response.body())));
    }

    private static <T> T await(CompletableFuture<T> future) throws IOException {
        try {
            return future.get();
        } catch (ExecutionException e) {
            throw new IOException(e.getCause());
        } catch (CancellationException e) {
            throw new IOException("given up", e);
        } catch (InterruptedException e) {
            future.cancel(true);
            Thread.currentThread().interrupt();
            throw new IOException(e);
        }
    }

    private static void log(System.Logger.Level level, String text, Throwable cause) {
        System.getLogger(ReverseHttp.class.getName()).log(level, text, cause);
    }

    private static ThreadFactory daemon(String name) {
        return work -> {
            Thread thread = new Thread(work, name);
            thread.setDaemon(true);
            return thread;
        };
    }

    /** A refusal by the gateway. */
    public static final class Refused extends IOException {
        private static final long serialVersionUID = 1;

        public final int status;
        /** One of section 8 of the protocol; "unexpected" where no gateway answered. */
        public final String code;

        final long retryAfterMs;

        private Refused(int status, String code, String detail, long retryAfterMs) {
            super(status + " " + code + ": " + detail);
            this.status = status;
            this.code = code;
            this.retryAfterMs = retryAfterMs;
        }

        static Refused of(int status, Optional<String> after, byte[] content) {
            String code = "unexpected";
            String detail = "";
            try {
                Map<String, Object> problem = map(Json.read(text(content)));
                code = string(problem, "code");
                detail = String.valueOf(problem.get("detail"));
            } catch (IOException e) {
                // Something in between answered.
            }
            String seconds = after.filter(v -> v.matches("[0-9]{1,6}")).orElse("0");
            return new Refused(status, code, detail, Long.parseLong(seconds) * 1000);
        }

        /** The session is over; another is needed. */
        boolean over() {
            return !code.equals("claim_deleted")
                    && (status == 404 || status == 409 || status == 410
                            || code.equals("draining") || code.equals("bad_cursor"));
        }

        /** The same again would be refused again. */
        boolean isFinal() {
            return status < 500 && !code.equals("unexpected")
                    && status != 408 && status != 429 && !over();
        }
    }

    /** One session of the claim. */
    private static final class Session {
        final Map<String, Object> claim;
        volatile String cursor;
        /** It gets nothing any more. */
        volatile boolean ended;
        /** It cannot answer either. */
        volatile boolean lost;

        Session(Map<String, Object> claim) throws IOException {
            this.claim = claim;
            cursor = string(claim, "cursor");
        }

        HttpRequest.Builder request(String member, Duration within) {
            return HttpRequest.newBuilder(URI.create(string(claim, member)))
                    .timeout(within)
                    .header("Authorization", "Bearer " + string(claim, "token"));
        }
    }

    /** Waits at random up to a bound that doubles: not all programs come back at once. */
    private static final class Backoff {
        private long boundMs;

        Backoff() {
            reset();
        }

        void reset() {
            boundMs = 200;
        }

        long nextMs(long askedMs) {
            long ms = ThreadLocalRandom.current().nextLong(boundMs + 1);
            boundMs = Math.min(boundMs * 2, 30_000);
            return Math.min(askedMs, 3_600_000) + ms;
        }
    }

    private final class Context extends HttpContext {
        final String path;
        private final Map<String, Object> attributes = Collections.synchronizedMap(new HashMap<>());
        private final List<Filter> filters = new ArrayList<>();
        private volatile HttpHandler handler;
        private volatile Authenticator authenticator;

        Context(String path) {
            this.path = path;
        }

        @Override
        public HttpHandler getHandler() {
            return handler;
        }

        @Override
        public void setHandler(HttpHandler handler) {
            this.handler = handler;
        }

        @Override
        public String getPath() {
            return path;
        }

        @Override
        public HttpServer getServer() {
            return ReverseHttp.this;
        }

        @Override
        public Map<String, Object> getAttributes() {
            return attributes;
        }

        @Override
        public List<Filter> getFilters() {
            return filters;
        }

        @Override
        public Authenticator setAuthenticator(Authenticator authenticator) {
            Authenticator before = this.authenticator;
            this.authenticator = authenticator;
            return before;
        }

        @Override
        public Authenticator getAuthenticator() {
            return authenticator;
        }

        void handle(Exchange x) throws IOException {
            if (authenticator != null && !admits(x)) {
                return;
            }
            new Filter.Chain(filters, handler).doFilter(x);
        }

        private boolean admits(Exchange x) throws IOException {
            Authenticator.Result result = authenticator.authenticate(x);
            if (result instanceof Authenticator.Success success) {
                x.principal = success.getPrincipal();
                return true;
            }
            int status =
                    result instanceof Authenticator.Retry retry
                            ? retry.getResponseCode()
                            : ((Authenticator.Failure) result).getResponseCode();
            x.sendResponseHeaders(status, -1);
            return false;
        }
    }

    /** One request and its answer. */
    private final class Exchange extends HttpExchange {
        final Map<String, Object> envelope;
        final String id;
        final long deadline;
        /** The request came again. Guarded by the server. */
        boolean again;
        /** The answer that no session took. */
        volatile Object untaken;
        volatile HttpPrincipal principal;

        private final URI uri;
        private final Headers fields = new Headers();
        private final Headers answerFields = new Headers();
        private final Map<String, Object> attributes = Collections.synchronizedMap(new HashMap<>());
        private final Content content;
        private final Answer answer = new Answer(this);
        private InputStream in;
        private OutputStream out = answer;
        private volatile int status = -1;
        private volatile boolean cancelled;
        private Context context;

        Exchange(Map<String, Object> envelope) throws IOException {
            this.envelope = envelope;
            id = string(envelope, "id");
            deadline =
                    System.nanoTime()
                            + TimeUnit.MILLISECONDS.toNanos(number(envelope, "timeoutMs"));
            for (Object field : list(envelope, "headers")) {
                List<?> pair = (List<?>) field;
                fields.add((String) pair.get(0), (String) pair.get(1));
            }
            uri = toUri(withoutBase(string(envelope, "target"), string(envelope, "base")));
            content = new Content(this);
            in = content;
            attributes.put(REQUEST, Collections.unmodifiableMap(envelope));
        }

        void run() {
            if (untaken != null) {
                postMessage(map(untaken));
                ended(this);
                return;
            }
            try {
                if (cancelled) {
                    answer.end();
                    return;
                }
                String path = uri.getPath() == null ? "" : uri.getPath();
                synchronized (ReverseHttp.this) {
                    for (Context c : contexts) {
                        boolean longer = context == null || c.path.length() > context.path.length();
                        if (path.startsWith(c.path) && longer) {
                            context = c;
                        }
                    }
                    // What asks about the whole server, or has no path, is for its root.
                    for (Context c : contexts) {
                        if (context == null && !path.startsWith("/") && c.path.equals("/")) {
                            context = c;
                        }
                    }
                }
                if (context == null || context.handler == null) {
                    answerFields.set("Content-Type", "text/plain");
                    sendResponseHeaders(404, 0);
                    out.write("no context\n".getBytes(StandardCharsets.US_ASCII));
                    close();
                    return;
                }
                context.handle(this);
            } catch (Throwable e) {
                if (!cancelled) {
                    String line = envelope.get("method") + " " + envelope.get("target");
                    log(System.Logger.Level.WARNING, line + ": the handler failed", e);
                }
                answer.fail();
                if (e instanceof Error error) {
                    throw error;
                }
            }
        }

        /** Posts a message and gives what the gateway says to it; null where it says nothing. */
        String postMessage(Map<String, Object> message) {
            Map<String, Object> result = post(message, this);
            Object status = result == null ? null : result.get("status");
            boolean whole = "response".equals(message.get("type")) && message.get("more") == null;
            untaken = "unknown".equals(status) && whole ? message : null;
            if ("invalid".equals(status)) {
                String why = result.get("pointer") + " " + result.get("detail");
                log(System.Logger.Level.WARNING, envelope.get("target") + ": " + why, null);
            }
            return (String) status;
        }

        /** A request of this exchange. */
        HttpRequest.Builder request(String member) {
            return HttpRequest.newBuilder(URI.create(string(envelope, member)))
                    .header("Authorization", "Bearer " + token());
        }

        Map<String, Object> message(String type) {
            Map<String, Object> message = new LinkedHashMap<>();
            message.put("type", type);
            message.put("id", id);
            return message;
        }

        /** Makes reading and writing fail. */
        void cancel() {
            cancelled = true;
            threads.execute(
                    () -> {
                        content.cut();
                        answer.end();
                    });
        }

        /** Whether its content or its answer is on its way as a stream. */
        boolean streams() {
            return answer.sent > 0 || content.asked != null;
        }

        void check() throws IOException {
            if (cancelled) {
                throw new IOException("the visitor has left, or time is over");
            }
        }

        boolean silent() {
            return "HEAD".equals(envelope.get("method"));
        }

        @Override
        public Headers getRequestHeaders() {
            return fields;
        }

        @Override
        public Headers getResponseHeaders() {
            return answerFields;
        }

        @Override
        public URI getRequestURI() {
            return uri;
        }

        @Override
        public String getRequestMethod() {
            return string(envelope, "method");
        }

        @Override
        public HttpContext getHttpContext() {
            return context;
        }

        @Override
        public InputStream getRequestBody() {
            return in;
        }

        @Override
        public OutputStream getResponseBody() {
            if (status < 0) {
                throw new IllegalStateException("headers not sent yet");
            }
            return out;
        }

        @Override
        public void sendResponseHeaders(int code, long length) throws IOException {
            if (status >= 0) {
                throw new IOException("headers already sent");
            }
            if (code > 101 && code < 200) {
                Map<String, Object> interim = message("interim");
                interim.put("status", (long) code);
                interim.put("headers", pairs());
                postMessage(interim);
                return;
            }
            boolean bare = code == 204 || code == 205 || code == 304;
            boolean told = silent() || code == 304;
            if (!told) {
                // Framing is the gateway's. What JDK's server would say is what it comes to.
                answerFields.remove("Content-Length");
            }
            if (length > 0 && !bare && answerFields.getFirst("Content-Length") == null) {
                answerFields.set("Content-Length", Long.toString(length));
            }
            status = code;
            answer.begin(code, pairs(), bare || length < 0 ? -1 : length);
        }

        private List<Object> pairs() {
            List<Object> pairs = new ArrayList<>();
            answerFields.forEach(
                    (name, values) -> values.forEach(value -> pairs.add(List.of(name, value))));
            return pairs;
        }

        @Override
        public void close() {
            try {
                in.close();
                if (status < 0) {
                    answer.fail();
                } else {
                    out.close();
                }
            } catch (IOException e) {
                answer.fail();
            }
        }

        @Override
        public InetSocketAddress getRemoteAddress() {
            String address = string(envelope, "remoteAddr");
            int colon = address.lastIndexOf(':');
            String host = address.substring(0, colon).replaceAll("[\\[\\]]", "");
            return new InetSocketAddress(host, Integer.parseInt(address.substring(colon + 1)));
        }

        @Override
        public int getResponseCode() {
            return status;
        }

        @Override
        public InetSocketAddress getLocalAddress() {
            return getAddress();
        }

        @Override
        public String getProtocol() {
            return "HTTP/" + envelope.get("httpVersion");
        }

        @Override
        public Object getAttribute(String name) {
            return attributes.get(name);
        }

        @Override
        public void setAttribute(String name, Object value) {
            attributes.put(name, value);
        }

        @Override
        public void setStreams(InputStream in, OutputStream out) {
            this.in = in != null ? in : this.in;
            this.out = out != null ? out : this.out;
        }

        @Override
        public HttpPrincipal getPrincipal() {
            return principal;
        }
    }

    /** The content of a request, which is asked for when it is read. */
    private final class Content extends InputStream {
        private final Exchange x;
        volatile CompletableFuture<HttpResponse<InputStream>> asked;
        private InputStream source;
        private boolean cut;

        Content(Exchange x) {
            this.x = x;
            Object text = x.envelope.get("body");
            Object coded = x.envelope.get("bodyBase64");
            if (coded != null) {
                source = new ByteArrayInputStream(Base64.getDecoder().decode((String) coded));
            } else if (text != null) {
                source = new ByteArrayInputStream(bytes((String) text));
            } else if (x.envelope.get("bodyUrl") == null || x.envelope.get("upgrade") != null) {
                source = InputStream.nullInputStream();
            }
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] b, int offset, int length) throws IOException {
            return source().read(b, offset, length);
        }

        @Override
        public int available() throws IOException {
            return source == null ? 0 : source.available();
        }

        /** What is left unread stays so: the gateway sees to it. */
        @Override
        public void close() {
            cut();
        }

        private InputStream source() throws IOException {
            CompletableFuture<HttpResponse<InputStream>> answer;
            synchronized (this) {
                if (source != null) {
                    return source;
                }
                x.check();
                if (cut) {
                    throw new IOException("the content is not wanted any more");
                }
                if (asked == null) {
                    asked =
                            client.sendAsync(
                                    proxies.pass(x.request("bodyUrl").build()),
                                    BodyHandlers.ofInputStream());
                }
                answer = asked;
            }
            HttpResponse<InputStream> response = await(answer);
            InputStream body = response.body();
            if (response.statusCode() != 200) {
                throw Refused.of(
                        response.statusCode(), Optional.empty(), body.readAllBytes());
            }
            synchronized (this) {
                source = body;
                if (cut) {
                    body.close();
                }
            }
            return body;
        }

        void cut() {
            InputStream open;
            synchronized (this) {
                cut = true;
                if (asked == null) {
                    return;
                }
                open = source;
                asked.cancel(true);
            }
            try {
                if (open != null) {
                    open.close();
                }
            } catch (IOException e) {
                // It is not wanted any more.
            }
        }
    }

    /**
     * What a handler writes. It is sent as one message where it ends soon, and in parts otherwise,
     * each of which a proxy on the way lets through at once.
     */
    private final class Answer extends OutputStream {
        private final Exchange x;
        // The monitor of this guards what follows.
        private final ByteArrayOutputStream waiting = new ByteArrayOutputStream();
        private Map<String, Object> head;
        private long left = -1;
        private boolean over;
        private ScheduledFuture<?> late;
        /** How many messages were. Written with the monitor, read without. */
        private volatile int sent;

        Answer(Exchange x) {
            this.x = x;
        }

        /** Takes the head. The length is 0 where it is not known, and negative for no content. */
        synchronized void begin(int status, List<Object> fields, long length) throws IOException {
            if (over) {
                throw new IOException("the answer is over");
            }
            head = x.message("response");
            head.put("status", (long) status);
            head.put("headers", fields);
            left = length == 0 ? Long.MAX_VALUE : Math.max(0, length);
            if (length < 0 || x.silent()) {
                finish();
            } else {
                sendSoon();
            }
        }

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public synchronized void write(byte[] b, int offset, int length) throws IOException {
            if (x.silent()) {
                return;
            }
            check();
            if (length > left) {
                throw new IOException("more content than was said");
            }
            left -= left == Long.MAX_VALUE ? 0 : length;
            // In pieces: what waits is bounded.
            for (int end = offset + length; offset < end; ) {
                int most = sent > 0 ? partBytes : WHOLE_BYTES;
                int n = Math.min(end - offset, Math.max(1, most - waiting.size()));
                waiting.write(b, offset, n);
                offset += n;
                if (waiting.size() >= most) {
                    sendOn(false);
                }
            }
            if (sent > 0 && waiting.size() > 0 && late.isDone()) {
                sendSoon();
            }
        }

        /** Has sent what waits, unless the handler is quick. */
        private void sendSoon() {
            late =
                    timer.schedule(
                            () -> threads.execute(this::sendLate),
                            WHOLE_MS,
                            TimeUnit.MILLISECONDS);
        }

        @Override
        public synchronized void flush() throws IOException {
            if (!over && head != null) {
                check();
                sendOn(false);
            }
        }

        @Override
        public synchronized void close() throws IOException {
            if (over) {
                return;
            }
            if (left > 0 && left < Long.MAX_VALUE) {
                fail();
                throw new IOException("less content than was said");
            }
            check();
            finish();
        }

        private void check() throws IOException {
            x.check();
            if (over || head == null) {
                throw new IOException("the answer is over, or not begun");
            }
        }

        private synchronized void sendLate() {
            try {
                if (!over) {
                    sendOn(false);
                }
            } catch (IOException e) {
                // The writer finds out.
            }
        }

        /** Ends the answer. */
        private void finish() throws IOException {
            boolean whole = sent == 0;
            try {
                sendOn(true);
            } catch (IOException e) {
                if (!whole) {
                    throw e;
                }
                // Nobody wants it, or the log says why.
            } finally {
                end();
            }
        }

        /** The handler failed. An answer that has begun is cut short. */
        synchronized void fail() {
            if (over) {
                return;
            }
            if (!x.cancelled) {
                x.postMessage(failure());
            }
            end();
        }

        /** Nothing is sent any more. */
        synchronized void end() {
            over = true;
            waiting.reset();
            if (late != null) {
                late.cancel(false);
            }
            x.content.cut();
            ended(x);
        }

        private Map<String, Object> failure() {
            if (sent > 0) {
                Map<String, Object> message = x.message("abort");
                message.put("reason", "the handler failed");
                return message;
            }
            Map<String, Object> message = x.message("response");
            message.put("status", 500L);
            message.put("headers", List.of(List.of("Content-Type", "text/plain")));
            message.put("body", "error 500");
            return message;
        }

        /** Sends what waits, in parts of a size that gets through. */
        private void sendOn(boolean last) throws IOException {
            byte[] content = waiting.toByteArray();
            waiting.reset();
            for (int at = 0; ; ) {
                if (!last && sent > 0 && at == content.length) {
                    return;
                }
                int n = Math.min(content.length - at, partBytes);
                boolean more = !last || at + n < content.length;
                Map<String, Object> message = head;
                if (sent > 0) {
                    message = x.message("part");
                    message.put("seq", (long) sent);
                }
                message = withContent(message, Arrays.copyOfRange(content, at, at + n));
                if (more) {
                    message.put("more", true);
                }
                String said = x.postMessage(message);
                if (TOO_LARGE.equals(said) && n > LEAST_PART) {
                    // For a proxy on the way, or for the gateway.
                    partBytes = Math.min(partBytes, n / 2);
                    continue;
                }
                if (!"accepted".equals(said) && !"duplicate".equals(said)) {
                    if ("invalid".equals(said) || TOO_LARGE.equals(said)) {
                        x.postMessage(failure());
                    }
                    end();
                    throw new IOException("the answer is " + (said == null ? "late" : said));
                }
                at += n;
                sent++;
                if (!more) {
                    return;
                }
            }
        }
    }

    private static Map<String, Object> withContent(Map<String, Object> head, byte[] content) {
        Map<String, Object> message = new LinkedHashMap<>(head);
        try {
            message.put("body", text(content));
        } catch (CharacterCodingException e) {
            message.put("bodyBase64", Base64.getEncoder().encodeToString(content));
        }
        return message;
    }

    /** Gives what is UTF-8 as text, and fails for anything else. */
    private static String text(byte[] content) throws CharacterCodingException {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(content)).toString();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String withoutBase(String target, String base) {
        String path = URI.create(base).getRawPath();
        boolean below = path.length() > 1 && target.startsWith(path);
        return below ? target.substring(path.length() - 1) : target;
    }

    /** Makes any target a URI: what is illegal in one is escaped. */
    static URI toUri(String target) {
        StringBuilder legal = new StringBuilder();
        for (int i = 0; i < target.length(); i++) {
            char c = target.charAt(i);
            boolean escape = c == '%' && i + 2 < target.length()
                    && Character.digit(target.charAt(i + 1), 16) >= 0
                    && Character.digit(target.charAt(i + 2), 16) >= 0;
            boolean letter = c < 0x80 && Character.isLetterOrDigit(c);
            if (escape || letter || "-._~:/?@!$&'()*+,;=".indexOf(c) >= 0) {
                legal.append(c);
            } else {
                legal.append(String.format("%%%02X", (int) c));
            }
        }
        // A path that begins with two slashes would be read as a host.
        String text = legal.toString();
        return URI.create(text.startsWith("//") ? "/." + text : text);
    }

    private static String string(Map<String, Object> object, String member) {
        if (object != null && object.get(member) instanceof String s) {
            return s;
        }
        throw new IllegalArgumentException("no gateway of this protocol: no " + member);
    }

    private static long number(Map<String, Object> object, String member) {
        return ((Number) object.get(member)).longValue();
    }

    private static List<?> list(Map<String, Object> object, String member) throws IOException {
        if (object != null && object.get(member) instanceof List<?> l) {
            return l;
        }
        throw new IOException("no gateway of this protocol: no " + member);
    }

    private static Map<String, Object> map(Map<String, Object> object, String member) {
        return map(object.get(member));
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> map(Object value) {
        return (Map<String, Object>) value;
    }

    /**
     * The proxies that the environment names: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case.
     * The system properties of the JDK, such as http.proxyHost, weigh more.
     */
    static final class Proxies extends ProxySelector {
        private final Map<String, URI> byScheme = new HashMap<>();
        private final List<String> without;

        private Proxies(List<String> without) {
            this.without = without;
        }

        static Proxies of(Map<String, String> environment) {
            String exceptions = named(environment, "no_proxy");
            Proxies proxies = new Proxies(List.of(exceptions.split("[,\\s]+")));
            for (String scheme : List.of("http", "https")) {
                String value = named(environment, scheme + "_proxy");
                if (value.isEmpty() || System.getProperty(scheme + ".proxyHost") != null) {
                    continue;
                }
                URI proxy = URI.create(value.contains("://") ? value : "http://" + value);
                if (!"http".equalsIgnoreCase(proxy.getScheme()) || proxy.getHost() == null) {
                    throw new IllegalArgumentException(
                            scheme + "_proxy: give a proxy as http://HOST:PORT, or set no_proxy");
                }
                proxies.byScheme.put(scheme, proxy);
            }
            return proxies;
        }

        private static String named(Map<String, String> environment, String name) {
            String lower = environment.getOrDefault(name, "");
            return lower.isEmpty()
                    ? environment.getOrDefault(name.toUpperCase(Locale.ROOT), "")
                    : lower;
        }

        /** The proxy for a URL; null where the environment names none. */
        private URI proxyOf(URI to) {
            URI proxy = byScheme.get(to.getScheme().toLowerCase(Locale.ROOT));
            return proxy == null || excepted(to) ? null : proxy;
        }

        /**
         * Has a request show the user and password of its proxy. An Authenticator of the client
         * would have it drop the token.
         */
        HttpRequest pass(HttpRequest request) {
            URI proxy = proxyOf(request.uri());
            if (proxy == null || proxy.getUserInfo() == null) {
                return request;
            }
            byte[] pair = bytes(proxy.getUserInfo());
            String basic = "Basic " + Base64.getEncoder().encodeToString(pair);
            return HttpRequest.newBuilder(request, (name, value) -> true)
                    .header("Proxy-Authorization", basic)
                    .build();
        }

        @Override
        public List<Proxy> select(URI to) {
            URI proxy = proxyOf(to);
            if (proxy == null) {
                return ProxySelector.getDefault().select(to);
            }
            int port = proxy.getPort() < 0 ? 80 : proxy.getPort();
            return List.of(
                    new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.getHost(), port)));
        }

        private boolean excepted(URI to) {
            String host = to.getHost().toLowerCase(Locale.ROOT);
            for (String one : without) {
                String name = one.toLowerCase(Locale.ROOT).replaceFirst("^\\*?\\.", "");
                if (name.equals("*") || !name.isEmpty()
                        && (host.equals(name) || host.endsWith("." + name)
                                || name.equals(host + ":" + to.getPort()))) {
                    return true;
                }
            }
            return false;
        }

        @Override
        public void connectFailed(URI to, SocketAddress address, IOException e) {
            // Whoever asked is told.
        }
    }

    /** Reads and writes JSON (RFC 8259): maps, lists, strings, numbers, booleans and null. */
    static final class Json {
        private static final int DEEPEST = 64;
        private final String text;
        private int at;
        private int depth;

        private Json(String text) {
            this.text = text;
        }

        static Object read(String text) throws IOException {
            Json json = new Json(text);
            Object value = json.value();
            json.space();
            if (json.at != text.length()) {
                throw json.wrong();
            }
            return value;
        }

        static String write(Object value) {
            StringBuilder to = new StringBuilder();
            write(value, to);
            return to.toString();
        }

        private static void write(Object value, StringBuilder to) {
            if (value instanceof Map<?, ?> members) {
                String before = "{";
                for (Map.Entry<?, ?> member : members.entrySet()) {
                    to.append(before);
                    write(member.getKey(), to);
                    to.append(':');
                    write(member.getValue(), to);
                    before = ",";
                }
                to.append(members.isEmpty() ? "{}" : "}");
            } else if (value instanceof List<?> items) {
                String before = "[";
                for (Object item : items) {
                    to.append(before);
                    write(item, to);
                    before = ",";
                }
                to.append(items.isEmpty() ? "[]" : "]");
            } else if (value instanceof String string) {
                to.append('"');
                for (int i = 0; i < string.length(); i++) {
                    char c = string.charAt(i);
                    if (c == '"' || c == '\\') {
                        to.append('\\').append(c);
                    } else if (c < ' ' || Character.isSurrogate(c)) {
                        to.append(String.format("\\u%04x", (int) c));
                    } else {
                        to.append(c);
                    }
                }
                to.append('"');
            } else {
                to.append(value);
            }
        }

        private Object value() throws IOException {
            space();
            if (++depth > DEEPEST) {
                throw wrong();
            }
            Object value;
            switch (at < text.length() ? text.charAt(at) : 0) {
                case '{' -> value = object();
                case '[' -> value = array();
                case '"' -> value = string();
                case 't' -> value = word("true", true);
                case 'f' -> value = word("false", false);
                case 'n' -> value = word("null", null);
                default -> value = number();
            }
            depth--;
            return value;
        }

        private Map<String, Object> object() throws IOException {
            Map<String, Object> members = new LinkedHashMap<>();
            at++;
            if (next('}')) {
                return members;
            }
            do {
                space();
                String name = string();
                if (!next(':')) {
                    throw wrong();
                }
                members.put(name, value());
            } while (next(','));
            if (!next('}')) {
                throw wrong();
            }
            return members;
        }

        private List<Object> array() throws IOException {
            List<Object> items = new ArrayList<>();
            at++;
            if (next(']')) {
                return items;
            }
            do {
                items.add(value());
            } while (next(','));
            if (!next(']')) {
                throw wrong();
            }
            return items;
        }

        private String string() throws IOException {
            if (at == text.length() || text.charAt(at) != '"') {
                throw wrong();
            }
            StringBuilder value = new StringBuilder();
            for (at++; at < text.length(); at++) {
                char c = text.charAt(at);
                if (c == '"') {
                    at++;
                    return value.toString();
                }
                if (c < ' ') {
                    throw wrong();
                }
                value.append(c == '\\' ? escaped() : c);
            }
            throw wrong();
        }

        private char escaped() throws IOException {
            at++;
            int escape = at < text.length() ? "\"\\/bfnrtu".indexOf(text.charAt(at)) : -1;
            if (escape < 0) {
                throw wrong();
            }
            if (escape < 8) {
                return "\"\\/\b\f\n\r\t".charAt(escape);
            }
            if (at + 4 >= text.length()) {
                throw wrong();
            }
            int code = 0;
            for (int i = 0; i < 4; i++) {
                int digit = Character.digit(text.charAt(++at), 16);
                if (digit < 0) {
                    throw wrong();
                }
                code = code * 16 + digit;
            }
            return (char) code;
        }

        private Object number() throws IOException {
            int from = at;
            while (at < text.length() && "+-.0123456789Ee".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            String number = text.substring(from, at);
            if (number.matches("-?(0|[1-9][0-9]{0,17})")) {
                return Long.valueOf(number);
            }
            if (number.length() <= 64
                    && number.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([Ee][+-]?[0-9]+)?")) {
                return Double.valueOf(number);
            }
            throw wrong();
        }

        private Object word(String word, Object value) throws IOException {
            if (!text.startsWith(word, at)) {
                throw wrong();
            }
            at += word.length();
            return value;
        }

        private boolean next(char c) {
            space();
            boolean is = at < text.length() && text.charAt(at) == c;
            at += is ? 1 : 0;
            return is;
        }

        private void space() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }

        private IOException wrong() {
            return new IOException("no JSON at " + at);
        }
    }
}
