package reversehttp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/server/gateway"
)

// Each handler answers the same requests on a net/http server and through a gateway, in both shapes of public URLs.
var parity = []struct {
	name     string
	handler  http.Handler
	requests []string // method, target and fields in lines, then an empty line and the content
}{
	{"implicit 200", handle(func(w http.ResponseWriter, r *http.Request) {}), []string{"GET /", "HEAD /", "POST /\n\nabc"}},
	{"write", handle(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }), []string{"GET /", "HEAD /"}},
	{"sniffing", handle(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/html":
			io.WriteString(w, "<!doctype html><p>")
		case "/pieces":
			io.WriteString(w, "<!doc")
			io.WriteString(w, "type html><p>")
		case "/flushed":
			io.WriteString(w, "<!doc")
			w.(http.Flusher).Flush()
			io.WriteString(w, "type html><p>")
		case "/flushed-first":
			w.(http.Flusher).Flush()
			io.WriteString(w, "<!doctype html><p>")
		case "/png":
			io.WriteString(w, "\x89PNG\x0d\x0a\x1a\x0a")
		case "/coded":
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "\x89PNG\x0d\x0a\x1a\x0a")
		case "/none":
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "<!doctype html><p>")
		case "/long":
			io.WriteString(w, strings.Repeat(" ", 600)+"<!doctype html><p>")
		}
	}), []string{"GET /html", "GET /pieces", "GET /flushed", "GET /flushed-first", "GET /png", "GET /coded", "GET /none", "GET /long", "HEAD /html"}},
	{"bytes", handle(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		w.Write(b)
	}), []string{"POST /\n\n\x00\xff\xfe\r\n\"\\\u2028é", "POST /\n\n" + strings.Repeat("é", 20000), "PUT /\n\n{}", "DELETE /\n\nx"}},
	{"no content allowed", handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"x"`)
		if r.URL.Path == "/204" {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(204)
		} else {
			w.WriteHeader(304)
		}
		if n, err := io.WriteString(w, "x"); n != 0 || err != http.ErrBodyNotAllowed {
			panic(fmt.Sprintf("Write = %d, %v", n, err))
		}
	}), []string{"GET /204", "GET /304", "HEAD /204"}},
	{"superfluous WriteHeader", handle(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		w.WriteHeader(500)
		w.Header().Set("X-Late", "1")
		io.WriteString(w, "x")
		w.WriteHeader(404)
	}), []string{"GET /"}},
	{"1xx", handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(202)
	}), []string{"GET /"}},
	{"declared length", handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		if r.Method == "HEAD" {
			return
		}
		io.WriteString(w, "hello")
		if _, err := io.WriteString(w, "!"); err != http.ErrContentLength {
			panic(fmt.Sprint("Write = ", err))
		}
	}), []string{"GET /", "HEAD /"}},
	{"invalid length", handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "five")
		io.WriteString(w, "hello")
	}), []string{"GET /"}},
	{"fields", handle(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Set-Cookie"] = []string{"a=1", "b=2; Path=/"}
		h["X-Bytes"] = []string{"caf\xc3\xa9 \xff"}
		h["X-Broken"] = []string{"a\r\nb\nc", "  padded\t"}
		h["X-Empty"] = []string{""}
		h["No Token"] = []string{"x"}
		h["X-Echo"] = r.Header["X-Sent"]
		h["X-Host"] = []string{r.Host}
		h["X-Proto"] = []string{fmt.Sprint(r.Proto, r.ProtoMajor, r.ProtoMinor)}
		h["X-Host-Field"] = []string{fmt.Sprint(len(r.Header["Host"]))}
	}), []string{"GET /\nX-Sent: one\nx-sent: t\xe9o\nX-Sent: ", "OPTIONS /", "PROPFIND /"}},
	{"targets", handle(func(w http.ResponseWriter, r *http.Request) {
		u := r.URL
		fmt.Fprintf(w, "%q %q %q %q %q %v %q %q", r.RequestURI, u.Path, u.RawPath, u.RawQuery, u.Host, u.ForceQuery, u.Fragment, u.EscapedPath())
	}), []string{"GET /", "GET //a//b/", "GET /a%2Fb?x=%zz;y", "GET /?", "GET /a/../b/./c", "GET /%E9\xe9", "GET /a#b", "GET /a%20b?c=d%20e+f"}},
	{"redirect", handle(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}), []string{"GET /a/b?to=../c", "GET /a/b?to=/c", "GET /a/?to=http://example.com/", "HEAD /a?to=b", "POST /a?to=b"}},
	{"error", handle(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusTeapot) }), []string{"GET /"}},
	{"mux", mux(), []string{"GET /dir", "GET /dir/x", "GET /a/b", "POST /a/b", "GET /a//b", "GET /none", "GET /item/4%2F2"}},
	{"chi", router(), []string{"GET /a/x/y", "GET /item/4%2F2", "PUT /a/x/y", "GET /sub/deep", "GET /none"}},
	{"files", http.FileServerFS(files), []string{
		"GET /", "GET /index.html", "GET /dir", "GET /dir/", "GET /dir/a.txt", "HEAD /dir/a.txt", "GET /dir/a.txt/", "GET /none",
		"GET /dir/a.txt\nRange: bytes=2-4", "GET /dir/a.txt\nRange: bytes=-3", "GET /dir/a.txt\nRange: bytes=0-1,4-5", "GET /dir/a.txt\nRange: bytes=99-",
		"GET /dir/a.txt\nIf-Modified-Since: " + old.Format(http.TimeFormat), "HEAD /dir/a.txt\nRange: bytes=2-4", "GET /big.bin",
		"GET /big.bin\nRange: bytes=1-199998", "GET /big.bin\nRange: bytes=0-149999,150000-", "HEAD /big.bin",
	}},
	{"proxy", proxy(), []string{"GET /a%2Fb?c=d;e", "POST /x\n\nabc", "HEAD /x", "GET /304"}},
	{"controller", handle(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, err, c.SetReadDeadline(time.Now().Add(time.Hour)), c.SetWriteDeadline(time.Time{}), c.EnableFullDuplex(), c.Flush())
		io.Copy(w, strings.NewReader(" copied"))
	}), []string{"GET /", "POST /\n\nabc"}},
	{"timeout handler", http.TimeoutHandler(handle(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		for err := error(nil); err == nil; { // an earlier return would race with the time-out
			_, err = io.WriteString(w, "late")
		}
	}), time.Millisecond, "slow"), []string{"GET /"}},
	{"max bytes", http.MaxBytesHandler(handle(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, err)
	}), 2), []string{"POST /\n\nabc", "POST /\n\nab"}},
	{"form", handle(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.FormValue("a"), r.PostFormValue("a"), r.URL.Query()["a"])
	}), []string{"POST /?a=1\nContent-Type: application/x-www-form-urlencoded\n\na=2"}},
}

func TestHandlersBehaveAsUnderNetHTTP(t *testing.T) { overEach(t, handlersBehaveAsUnderNetHTTP) }

func handlersBehaveAsUnderNetHTTP(t *testing.T) {
	for _, shape := range []string{hostShape, pathShape} {
		l := lend(t, shape, gateway.Options{})
		for _, c := range parity {
			t.Run(fmt.Sprint(shape, " ", c.name), func(t *testing.T) {
				t.Parallel() // net/http keeps refused connections open for a while
				direct := httptest.NewUnstartedServer(c.handler)
				direct.Config.ErrorLog = log.New(io.Discard, "", 0)
				direct.Start()
				defer direct.Close()
				s := l.serve(t, c.handler, nil)
				base, err := url.Parse(s.URL())
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range c.requests {
					want := visit(t, direct.Listener.Addr().String(), base.Host, "", r)
					got := visit(t, l.addr, base.Host, strings.TrimSuffix(base.Path, "/"), r)
					compare(t, r, got, want, shape == pathShape)
				}
			})
		}
	}
}

// visit sends a request of the table, with its target below a path, byte for byte.
func visit(t *testing.T, addr, host, below, request string) *http.Response {
	head, content, _ := strings.Cut(request, "\n\n")
	line, fields, _ := strings.Cut(head, "\n")
	method, target, _ := strings.Cut(line, " ")
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, below, target, host)
	if fields != "" {
		fmt.Fprintf(&b, "%s\r\n", strings.ReplaceAll(fields, "\n", "\r\n"))
	}
	if content != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(content))
	}
	fmt.Fprintf(&b, "\r\n%s", content)
	return exchange(t, addr, method, b.Bytes())
}

// exchange sends bytes and reads the whole response.
func exchange(t *testing.T, addr, method string, raw []byte) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	for err == nil && resp.StatusCode < 200 {
		resp, err = http.ReadResponse(in, &http.Request{Method: method})
	}
	if err != nil {
		t.Fatalf("%.60q: %v", raw, err)
	}
	resp.Body = io.NopCloser(strings.NewReader(readBody(t, resp)))
	return resp
}

func readBody(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func compare(t *testing.T, request string, got, want *http.Response, path bool) {
	t.Helper()
	if got.StatusCode != want.StatusCode {
		t.Errorf("%.60q: status = %d, want %d", request, got.StatusCode, want.StatusCode)
	}
	g, w := readBody(t, got), readBody(t, want)
	if boundary := func(r *http.Response) string {
		_, b, _ := strings.Cut(r.Header.Get("Content-Type"), "boundary=")
		return b
	}; boundary(want) != "" {
		w = strings.ReplaceAll(w, boundary(want), boundary(got))
		want.Header.Set("Content-Type", got.Header.Get("Content-Type"))
	}
	if g != w {
		t.Errorf("%.60q: content = %.200q, want %.200q", request, g, w)
	}
	for _, h := range []http.Header{got.Header, want.Header} {
		for _, name := range []string{"Date", "Via", "Connection"} {
			h.Del(name)
		}
	}
	if path {
		if want.Header["Content-Type"] == nil { // a browser must not guess one where claims share an origin
			want.Header.Set("X-Content-Type-Options", "nosniff")
		}
		for _, name := range []string{"Set-Cookie", "Content-Security-Policy"} {
			got.Header.Del(name)
			want.Header.Del(name)
		}
	}
	// A streaming server sends no length, but the gateway knows it.
	if want.Header.Get("Content-Length") == "" {
		got.Header.Del("Content-Length")
	}
	for name := range got.Header {
		if _, ok := want.Header[name]; !ok {
			t.Errorf("%.60q: field %s = %q, want none", request, name, got.Header[name])
		}
	}
	for name, values := range want.Header {
		if fmt.Sprintf("%q", got.Header[name]) != fmt.Sprintf("%q", values) {
			t.Errorf("%.60q: field %s = %q, want %q", request, name, got.Header[name], values)
		}
	}
}

func handle(f func(http.ResponseWriter, *http.Request)) http.Handler { return http.HandlerFunc(f) }

func mux() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/dir/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	m.HandleFunc("GET /a/{x}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.PathValue("x")) })
	m.HandleFunc("/item/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.PathValue("id")) })
	return m
}

func router() http.Handler {
	m := chi.NewRouter()
	m.Get("/a/{x}/{y}", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, chi.URLParam(r, "x")+chi.URLParam(r, "y"))
	})
	m.Get("/item/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, chi.URLParam(r, "id")) })
	m.Mount("/sub", http.StripPrefix("/sub", handle(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path)
	})))
	return m
}

var old = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

var files = fstest.MapFS{
	"index.html": {Data: []byte("<!doctype html><title>x</title>"), ModTime: old},
	"dir/a.txt":  {Data: []byte("0123456789"), ModTime: old},
	"big.bin":    {Data: bytes.Repeat([]byte{0, 255, 7, 'a'}, 50_000), ModTime: old},
}

// proxy forwards requests to a server in memory, which shows what it got.
func proxy() http.Handler {
	origin := handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/304" {
			w.WriteHeader(304)
			return
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q %d", r.Method, r.URL.RequestURI(), b, r.ContentLength)
	})
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "origin.test"})
			r.Out.URL.RawQuery = r.In.URL.RawQuery
		},
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			if r.Body == nil {
				r.Body = http.NoBody
			}
			origin.ServeHTTP(w, r.WithContext(context.Background()))
			return w.Result(), nil
		}),
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
