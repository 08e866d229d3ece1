package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"reversehttp/sdk-go/cmd/reversehttp/recordings"
	"reversehttp/server/gateway"
)

// viewerOf mints a token that can only read.
func viewerOf(t *testing.T, l *lender, label, token string) string {
	t.Helper()
	c, err := recordings.Find(t.Context(), l.visitor(t), l.origin, label, token)
	if err != nil {
		t.Fatal(err)
	}
	viewer, err := c.MintViewer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return viewer
}

// linked is a view for people that notes its links.
type linked struct {
	view
	urls chan string
}

func (v *linked) console(url string) { v.urls <- url }

func servingAt(l *lender, v view) *serving {
	o := &options{Gateway: l.origin, Label: "looked", Transport: "auto", Drain: patience, Record: true}
	return &serving{options: o, view: v, log: o.log(os.Stderr), online: make(chan struct{}, 1), stop: make(chan struct{}), cut: make(chan struct{})}
}

func TestPeopleGetAViewersLinkToTheConsole(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	v := &linked{view: newJSONView(&buffer{}), urls: make(chan string, 1)}
	s := servingAt(l, v)
	ended := make(chan *failure, 1)
	go func() { ended <- s.run(&echo{}) }()
	link := <-v.urls
	close(s.stop)
	at, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	members, err := url.ParseQuery(at.Fragment)
	if err != nil || at.Scheme+"://"+at.Host != l.origin || at.Path != "/" || at.RawQuery != "" || members.Get("label") != "looked" || len(members.Get("viewer")) < 16 {
		t.Errorf("link = %s", link)
	}
	if f := <-ended; f != nil {
		t.Error(f)
	}
}

func TestAfterAGatewayLostItsClaimsThereIsAnotherLink(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	v := &linked{view: newJSONView(&buffer{}), urls: make(chan string, 1)}
	s := servingAt(l, v)
	ended := make(chan *failure, 1)
	go func() { ended <- s.run(&echo{}) }()
	first := <-v.urls
	l.stop()
	lendAt(t, l.addr, hostShape, gateway.Options{})
	if second := <-v.urls; second == first {
		t.Errorf("the link is still %s", second)
	}
	close(s.stop)
	<-ended
}

func TestViewersReachTheirClaimAndChangeNothing(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	l.claim(t, "echo", "--label=looked", "--token=secret-of-looked")
	viewer := viewerOf(t, l, "looked", "secret-of-looked")
	c, err := recordings.Find(t.Context(), l.visitor(t), l.origin, "looked", viewer)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetInspect(t.Context(), false); err == nil {
		t.Error("a viewer ended recording")
	}
}

func TestNoInspectEndsRecordingOfALabelThatHadIt(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "echo", "--label=ended", "--token=secret-of-ended")
	r.visit(l, "GET", "/", "")
	r.signals <- syscall.SIGINT
	r.exit()
	again := l.claim(t, "echo", "--label=ended", "--token=secret-of-ended", "--no-inspect")
	again.visit(l, "GET", "/", "") // it is served
	c, err := recordings.Find(t.Context(), l.visitor(t), l.origin, "ended", "secret-of-ended")
	if err != nil || c.Inspect() {
		t.Errorf("inspect = %v, %v, want false", c, err)
	}
}

func TestTheTokenIsInAFileOfTheUserWhileTheCommandRuns(t *testing.T) {
	dir, err := ownedDir()
	if err != nil {
		t.Fatal(err)
	}
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "echo", "--label=kept")
	o := &options{Gateway: l.origin}
	c, err := o.own("", "")
	if err != nil || c.Label != "kept" || c.Token == "" {
		t.Fatalf("own = %+v %v", c, err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	r.signals <- syscall.SIGINT
	r.exit()
	if _, err := o.own("kept", ""); err == nil {
		t.Error("it is kept after the end")
	}
	left := owned{l.origin, "killed", "t", 1 << 30}
	if _, err := left.keep(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.own("killed", ""); err == nil || !strings.Contains(err.Error(), "no command of yours") {
		t.Errorf("what a killed command left is still used: %v", err)
	}
	if again, _ := filepath.Glob(filepath.Join(dir, "*.json")); len(again) >= len(names) {
		t.Errorf("the file of a killed command is still there: %v", again)
	}
}
