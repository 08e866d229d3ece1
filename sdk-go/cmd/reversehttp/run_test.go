package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

func TestWrongArgumentsEndWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{"nothing"}, {"forward"}, {"forward", "ftp://x"}, {"serve"}, {"serve", "/does/not/exist"}, {"echo", "--no-such-flag"}, {"echo", "more"}, {"inbox", "--status", "100"}, {"inbox", "--status=204", "--body=x"},
		{"echo", "--gateway", "localhost:8080"}, {"echo", "--gateway", "http://localhost:99999"}, {"forward", "3000", "--host-header=a/b"}, {"forward", "3000", "--host-header=a b"}, {"echo", "--lease=-1s"}, {"completion", "tcsh"}, {"inbox", "--type=a\nb"}, {"echo", "--lease", "x"},
	} {
		var stdout, stderr buffer
		if code := run(args, nil, &stdout, &stderr); code != exitUsage || !strings.HasPrefix(stderr.String(), "reversehttp: ") || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%q = %d, stderr %q, want 2 and one line", args, code, stderr.String())
		}
	}
	l := lend(t, hostShape, gateway.Options{})
	for _, wrong := range []string{"--label=Not_A_Label", "--label=www", "--token=a b"} {
		r := start(t, "echo", "--gateway", l.origin, wrong)
		want := exitUsage
		if wrong == "--label=www" {
			want = exitRefused
		}
		if code := r.exit(); code != want {
			t.Errorf("%s = %d %s, want %d", wrong, code, r.stderr.String(), want)
		}
	}
}

func TestTheErrorForAMissingArgumentDescribesIt(t *testing.T) {
	for command, want := range map[string]string{
		"forward":        "reversehttp: forward needs <target>. Local server: a URL such as http://localhost:3000",
		"admin takedown": "reversehttp: admin takedown needs <target>. A label, an address",
		"echo more":      "reversehttp: unexpected argument more; ",
	} {
		var stdout, stderr buffer
		if run(strings.Fields(command), nil, &stdout, &stderr); !strings.HasPrefix(stderr.String(), want) {
			t.Errorf("%s: %q, want %q", command, stderr.String(), want)
		}
	}
}

func TestHelpNamesTheExitCodes(t *testing.T) {
	var stdout, stderr buffer
	if code := run([]string{"--help"}, nil, &stdout, &stderr); code != 0 || !strings.Contains(strings.Join(strings.Fields(stdout.String()), " "), exitHelp) {
		t.Errorf("--help = %d %s", code, stdout.String())
	}
}

func TestTheVersionIsOneLine(t *testing.T) {
	for _, args := range [][]string{{"--version"}, {"echo", "--version"}} {
		var stdout, stderr buffer
		code := run(args, nil, &stdout, &stderr)
		got := stdout.String()
		if code != exitDone || stderr.String() != "" || !strings.HasPrefix(got, "reversehttp ") || !strings.HasSuffix(got, " "+runtime.Version()+"\n") || strings.Count(got, "\n") != 1 {
			t.Errorf("%q = %d %q %q, want version and Go's", args, code, got, stderr.String())
		}
	}
}

func TestATakenLabelEndsWithThree(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	l.claim(t, "echo", "--label", "demo", "--token", "secret-of-demo")
	for _, more := range [][]string{nil, {"--token", "another"}} {
		r := start(t, append(more, "echo", "--label", "demo", "--gateway", l.origin)...)
		if e := r.next("ended"); e["exitCode"] != 3.0 || !strings.Contains(e.text("detail"), `"demo" is taken`) {
			t.Errorf("event = %v", e)
		}
		if code := r.exit(); code != exitRefused || !strings.Contains(r.stderr.String(), `"demo" is taken`) || strings.Contains(r.stderr.String(), "secret-of") {
			t.Errorf("exit = %d %s", code, r.stderr.String())
		}
	}
	l.claim(t, "echo", "--label", "demo", "--token", "secret-of-demo") // a second program of the same owner
}

func TestAWrongKeyEndsWithThree(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{Keys: []string{"k1"}})
	for _, args := range [][]string{{"echo"}, {"echo", "--key=k2"}} {
		r := start(t, append(args, "--gateway", l.origin)...)
		if code := r.exit(); code != exitRefused || !strings.Contains(r.stderr.String(), "REVERSEHTTP_KEY") || strings.Contains(r.stderr.String(), "k2") {
			t.Errorf("%q = %d %s", args, code, r.stderr.String())
		}
	}
	t.Setenv("REVERSEHTTP_KEY", "k1")
	t.Setenv("REVERSEHTTP_GATEWAY", l.origin)
	t.Setenv("REVERSEHTTP_TOKEN", "secret-of-demo")
	r := start(t, "echo", "--label=demo")
	r.next("claimed")
	if _, err := reversehttp.Claim(t.Context(), l.origin, &reversehttp.Options{Label: "demo", Key: "k1", Token: "another"}); err == nil {
		t.Error("the token of the environment does not own the label")
	}
}

func TestAnUnreachableGatewayEndsWithFour(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	other := local(t, http.NotFound)
	page := local(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>log in\x1b[2J") })
	for origin, want := range map[string]string{nobody: "connection refused; name another with --gateway", other.URL: "no ReverseHttp gateway answers", page.URL: "no ReverseHttp gateway answers"} {
		r := start(t, "echo", "--gateway", origin)
		if code := r.exit(); code != exitUnreachable || !strings.Contains(r.stderr.String(), want) || strings.Contains(r.stderr.String(), "\x1b") {
			t.Errorf("%s = %d %q, want 4 and %q", origin, code, r.stderr.String(), want)
		}
	}
}

func TestAClaimThatEndsEndsWithFive(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "echo", "--label=demo", "--token=secret-of-demo")
	s, err := reversehttp.Claim(t.Context(), l.origin, &reversehttp.Options{Label: "demo", Token: "secret-of-demo"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := r.next("ended"); e["exitCode"] != 5.0 {
		t.Errorf("event = %v", e)
	}
	if code := r.exit(); code != exitEnded || !strings.Contains(r.stderr.String(), "deleted") {
		t.Errorf("exit = %d %s", code, r.stderr.String())
	}
}

func TestEveryTransportServes(t *testing.T) {
	t.Parallel()
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %d", r.Method, r.RequestURI, r.Header.Get("X-Forwarded-For"), len(b))
	})
	l := lend(t, pathShape, gateway.Options{})
	for _, transport := range []string{"auto", "link", "poll", "stream", "framed"} {
		r := l.claim(t, "forward", s.URL, "--transport", transport)
		resp, err := l.visitor(t).Post(r.url+"a%2Fb?c", "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
		if got, want := content(t, resp, err), "POST /a%2Fb?c 127.0.0.1 1048576"; got != want {
			t.Errorf("%s: server saw %q, want %q", transport, got, want)
		}
		if x := r.next("exchange"); x["status"] != 200.0 || x.text("target") != "/a%2Fb?c" || x.text("id") == "" {
			t.Errorf("%s: event = %v", transport, x)
		}
		r.signals <- syscall.SIGINT
		if code := r.exit(); code != exitDone {
			t.Errorf("%s: exit = %d %s", transport, code, r.stderr.String())
		}
	}
}

func TestASignalBeforeTheClaimEndsWithZero(t *testing.T) {
	asked := make(chan struct{})
	slow := local(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	r := start(t, "echo", "--gateway", slow.URL)
	<-asked
	r.signals <- syscall.SIGINT
	if code := r.exit(); code != exitDone {
		t.Errorf("exit = %d %s", code, r.stderr.String())
	}
}

// held runs a command with one exchange, which lasts until release is called.
func held(t *testing.T, l *lender, args ...string) (r *running, answer <-chan string, release func()) {
	t.Helper()
	asked, released := make(chan struct{}), make(chan struct{})
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		select {
		case <-released:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "done")
	})
	r = l.claim(t, append([]string{"forward", s.URL}, args...)...)
	got := make(chan string, 1)
	client := l.visitor(t)
	go func() {
		resp, err := client.Get(r.url)
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		got <- resp.Status + " " + string(b)
	}()
	<-asked
	return r, got, func() { close(released) }
}

func TestTheFirstSignalLetsRunningExchangesEnd(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r, answer, release := held(t, l)
	r.signals <- syscall.SIGINT
	if e := r.next("state"); e.text("state") != "draining" {
		t.Errorf("event = %v", e)
	}
	release()
	if got := <-answer; got != "200 OK done" {
		t.Errorf("answer = %s", got)
	}
	if e := r.next("exchange"); e["status"] != 200.0 {
		t.Errorf("event = %v", e)
	}
	if e := r.next("ended"); e["exitCode"] != 0.0 {
		t.Errorf("event = %v", e)
	}
	if code := r.exit(); code != exitDone || r.stderr.String() != "" {
		t.Errorf("exit = %d %s", code, r.stderr.String())
	}
}

func TestTheSecondSignalEndsAtOnce(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{Times: claim.Times{NoPoller: 50 * time.Millisecond}})
	r, answer, _ := held(t, l)
	r.signals <- syscall.SIGINT
	r.next("state")
	r.signals <- syscall.SIGINT
	if e := r.next("exchange"); !strings.HasPrefix(e.text("error"), "cut: ended by a second signal") {
		t.Errorf("event = %v", e)
	}
	if code := r.exit(); code != exitCut || !strings.Contains(r.stderr.String(), "second signal") {
		t.Errorf("exit = %d %s", code, r.stderr.String())
	}
	if got := <-answer; !strings.HasPrefix(got, "404") && !strings.HasPrefix(got, "503") {
		t.Errorf("answer = %s, want an error of the gateway", got)
	}
}

func TestExchangesLongerThanTheDrainAreCut(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r, _, _ := held(t, l, "--drain=50ms")
	r.signals <- syscall.SIGTERM
	if code := r.exit(); code != exitCut || !strings.Contains(r.stderr.String(), "--drain") {
		t.Errorf("exit = %d %s", code, r.stderr.String())
	}
}

func TestAnEphemeralLabelIsReleasedEvenIfExchangesAreCut(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	for i, args := range [][]string{{"--ephemeral"}, {"--ephemeral", "--drain=50ms"}, {"--token=secret-of-demo"}, {"--token=secret-of-demo", "--drain=50ms"}} {
		label := fmt.Sprint("demo", i)
		r, _, _ := held(t, l, append(args, "--label", label)...)
		r.signals <- syscall.SIGINT
		if !slices.Contains(args, "--drain=50ms") {
			r.next("state")
			r.signals <- syscall.SIGINT
		}
		if code := r.exit(); code != exitCut {
			t.Errorf("%q: exit = %d %s, want 6", args, code, r.stderr.String())
		}
		s, err := reversehttp.Claim(t.Context(), l.origin, &reversehttp.Options{Label: label, Token: "another"})
		if taken, want := err != nil, i > 1; taken != want {
			t.Errorf("%q: taken = %v, want %v", args, taken, want)
		}
		if err == nil {
			_ = s.Delete(context.Background())
		}
	}
}

func TestTwoSignalsThatCutNothingEndWithZero(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	for _, transport := range []string{"poll", "stream", "framed", "link"} {
		r := l.claim(t, "echo", "--transport", transport, "--label=demo")
		r.signals <- syscall.SIGINT
		r.signals <- syscall.SIGINT
		if e := r.next("ended"); e["exitCode"] != 0.0 {
			t.Errorf("%s: event = %v", transport, e)
		}
		if code := r.exit(); code != exitDone || r.stderr.String() != "" {
			t.Errorf("%s: exit = %d %s, want 0", transport, code, r.stderr.String())
		}
	}
}

func TestAnEphemeralLabelIsReleasedAtTheEnd(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	for token, kept := range map[string]bool{"": false, "secret-of-demo": true} {
		label := "given"
		args := []string{"echo", "--label=given", "--ephemeral"}
		if token != "" {
			label = "kept"
			args = []string{"echo", "--label=kept"}
			args = append(args, "--token", token)
		}
		r := l.claim(t, args...)
		r.signals <- syscall.SIGTERM
		if code := r.exit(); code != exitDone {
			t.Errorf("exit = %d %s", code, r.stderr.String())
		}
		s, err := reversehttp.Claim(t.Context(), l.origin, &reversehttp.Options{Label: label, Token: "another"})
		if taken := err != nil; taken != kept {
			t.Errorf("token %q: taken = %v, want %v", token, taken, kept)
		}
		if err == nil {
			_ = s.Delete(context.Background())
		}
	}
}

func TestAGatewayThatRestartsIsFoundAgain(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "echo", "--label=demo", "--verbose")
	l.stop()
	if e := r.next("state"); e.text("state") != "reconnecting" {
		t.Errorf("event = %v", e)
	}
	again := lendAt(t, l.addr, hostShape, gateway.Options{})
	if e := r.next("state"); e.text("state") != "online" {
		t.Errorf("event = %v", e)
	}
	resp, err := again.visitor(t).Get(r.url + "back")
	if got := content(t, resp, err); !strings.Contains(got, `"target":"/back"`) {
		t.Errorf("answer = %s %s", resp.Status, got)
	}
	for _, want := range []string{"requests come by a link", "claimed again"} {
		if !strings.Contains(r.stderr.String(), want) {
			t.Errorf("--verbose did not log %q: %s", want, r.stderr.String())
		}
	}
}

func TestASecondSignalEndsACommandWhoseOutputIsNotRead(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	out, in := io.Pipe()
	signals, code := make(chan os.Signal, 2), make(chan int, 1)
	go func() { code <- run([]string{"echo", "--gateway", l.origin}, signals, in, io.Discard) }()
	first := make([]byte, 1)
	if _, err := out.Read(first); err != nil { // part of the claimed event; nobody reads the rest
		t.Fatal(err)
	}
	signals <- syscall.SIGINT
	signals <- syscall.SIGINT
	select {
	case c := <-code:
		if c != exitCut {
			t.Errorf("exit = %d, want 6", c)
		}
	case <-time.After(patience):
		t.Error("the command has not ended")
	}
	out.Close()
}
