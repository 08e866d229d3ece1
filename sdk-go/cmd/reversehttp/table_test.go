package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// screen is a terminal that interprets the output of a table.
type screen struct {
	lines  []string
	row    int
	column int
}

func (s *screen) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i++ {
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		var n int
		rest := string(p[i:])
		switch line := s.lines[s.row]; {
		case p[i] == '\r':
			s.column = 0
		case p[i] == '\n':
			s.row++
			s.column = 0
		case strings.HasPrefix(rest, "\x1b[K"):
			s.lines[s.row] = line[:s.column]
			i += 2
		case strings.HasPrefix(rest, "\x1b[J"):
			s.lines[s.row] = line[:s.column]
			s.lines = s.lines[:s.row+1]
			i += 2
		case strings.HasPrefix(rest, "\x1b[2J\x1b[H"):
			*s = screen{}
			i += 6
		case p[i] == '\x1b':
			if _, err := fmt.Sscanf(rest, "\x1b[%dA", &n); err != nil || n > s.row {
				panic(fmt.Sprintf("%.20q at line %d", rest, s.row))
			}
			s.row -= n
			i += len(fmt.Sprintf("\x1b[%dA", n)) - 1
		case s.column < len(line):
			s.lines[s.row] = line[:s.column] + string(p[i]) + line[s.column+1:]
			s.column++
		default:
			s.lines[s.row] += string(p[i])
			s.column++
		}
	}
	return len(p), nil
}

func (s *screen) text() string { return strings.TrimRight(strings.Join(s.lines, "\n"), "\n") }

// shown lets report change a table, and returns the screen.
func shown(t *testing.T, width, height int, report func(*table)) *screen {
	var s screen
	synctest.Test(t, func(t *testing.T) {
		v := newTable(&s, func() (int, int) { return width, height })
		v.claimed("http://demo.localhost:8080/", "demo", "http://localhost:3000")
		v.state(reversehttp.Online)
		report(v)
		v.close(nil)
	})
	return &s
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)

func TestTheTableIsRedrawnInPlace(t *testing.T) {
	s := shown(t, 80, 24, func(v *table) {
		x := exchange{id: "1", method: "GET", target: "/slow", began: noon}
		v.began(x)
		time.Sleep(time.Second)
		y := exchange{id: "2", method: "POST", target: "/hook", began: noon.Add(time.Second)}
		v.began(y)
		y.status, y.bytes, y.duration = 201, 123_456, 1500*time.Millisecond
		v.ended(y)
		time.Sleep(time.Second)
		v.state(reversehttp.Reconnecting)
		time.Sleep(time.Second)
	})
	want := `http://demo.localhost:8080/  reconnecting
http://localhost:3000  exchanges: 2, running: 1; Ctrl-C ends it

TIME      METHOD   STATUS    BYTES  DURATION  TARGET
12:00:01  POST        201   120.6K     1.5 s  /hook
12:00:00  GET         ...                     /slow`
	if got := s.text(); got != want {
		t.Errorf("screen:\n%s\nwant:\n%s", got, want)
	}
}

func TestTheTableFitsTheTerminal(t *testing.T) {
	s := shown(t, 60, 10, func(v *table) {
		for i := range rowsKept + 50 {
			x := exchange{id: fmt.Sprint(i), method: "PROPFIND", target: "/" + strings.Repeat("x", 100), began: noon}
			v.began(x)
			x.status, x.fault = 502, "nothing listens at localhost:3000"
			v.ended(x)
			time.Sleep(time.Second)
		}
	})
	if len(s.lines) > 10 {
		t.Errorf("%d lines, want 10 at most:\n%s", len(s.lines), s.text())
	}
	for _, line := range s.lines {
		if len(line) >= 60 {
			t.Errorf("line of %d characters, want less than 60: %s", len(line), line)
		}
	}
	if !strings.Contains(s.text(), "exchanges: 250, running: 0") {
		t.Errorf("screen:\n%s", s.text())
	}
}

func TestStrangersCannotControlTheTable(t *testing.T) {
	s := shown(t, 2000, 24, func(v *table) {
		x := exchange{id: "1", method: hostile, target: hostile, began: noon, status: 200, fault: hostile}
		v.began(x)
		_, _ = v.Write([]byte("level=WARN msg=" + hostile))
	})
	inertText(t, s.text()) // the screen panics at unknown sequences
	for _, line := range strings.Split(s.text(), "\n") {
		if strings.HasPrefix(line, "over") {
			t.Errorf("a line was broken:\n%s", s.text())
		}
	}
}

func TestTheLogIsPrintedAboveTheTable(t *testing.T) {
	s := shown(t, 80, 24, func(v *table) {
		time.Sleep(time.Second)
		_, _ = v.Write([]byte("level=WARN msg=one\nlevel=WARN "))
		time.Sleep(time.Second)
		_, _ = v.Write([]byte("msg=two\n"))
	})
	if got := s.text(); !strings.HasPrefix(got, "level=WARN msg=one\nlevel=WARN msg=two\nhttp://demo.localhost:8080/  online\n") {
		t.Errorf("screen:\n%s", got)
	}
}

func TestALinkIsNotCutAndStaysWhenTheTerminalChanges(t *testing.T) {
	width := 40
	link := consoleURL("http://localhost:8080", "demo", "secret-viewer-of-demo")
	var s screen
	synctest.Test(t, func(t *testing.T) {
		v := newTable(&s, func() (int, int) { return width, 24 })
		v.claimed("http://demo.localhost:8080/", "demo", "what comes")
		v.console(link)
		time.Sleep(time.Second)
		synctest.Wait()
		width = 30
		v.state(reversehttp.Online)
		time.Sleep(time.Second)
		v.close(nil)
	})
	if got, want := s.text(), "console: http://localhost:8080/#label=demo&viewer=secret-viewer-of-demo\nhttp://demo.localhost:8080/"; !strings.HasPrefix(got, want) {
		t.Errorf("screen:\n%s\nwant:\n%s", got, want)
	}
}

func TestTheTableClearsAScreenThatChangedItsSize(t *testing.T) {
	width := 80
	var s screen
	synctest.Test(t, func(t *testing.T) {
		v := newTable(&s, func() (int, int) { return width, 24 })
		v.claimed("http://demo.localhost:8080/", "demo", "what comes")
		time.Sleep(time.Second)
		synctest.Wait()
		width = 20
		v.state(reversehttp.Online)
		time.Sleep(time.Second)
		v.close(nil)
	})
	if got, want := s.text(), "http://demo.localhost:8080/\nonline\nwhat comes\nexchanges: 0, run.."; got != want {
		t.Errorf("screen:\n%s\nwant:\n%s", got, want)
	}
}

func TestANarrowTerminalShowsTargets(t *testing.T) {
	s := shown(t, 40, 24, func(v *table) {
		x := exchange{id: "1", method: "GET", target: "/a/b", began: noon}
		v.began(x)
		x.status, x.bytes, x.duration = 200, 123, time.Second
		v.ended(x)
	})
	want := `http://demo.localhost:8080/  online
http://localhost:3000
exchanges: 1, running: 0; Ctrl-C ends
TIME      METHOD   STATUS  TARGET
12:00:00  GET         200  /a/b`
	if got := s.text(); got != want {
		t.Errorf("screen:\n%s\nwant:\n%s", got, want)
	}
}

func TestTheURLIsNeverCut(t *testing.T) {
	for width := 10; width < 100; width += 7 {
		s := shown(t, width, 24, func(v *table) {
			v.began(exchange{id: "1", method: "GET", target: "/", began: noon})
		})
		if !strings.Contains(s.text(), "http://demo.localhost:8080/") {
			t.Errorf("screen of %d columns:\n%s", width, s.text())
		}
	}
}

func TestColoursChangeNothingElse(t *testing.T) {
	colour := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for _, line := range []string{"http://demo.localhost:8080/  online", "online", "a  b", ""} {
		if got := paintLine(0, line); colour.ReplaceAllString(got, "") != line || line != "" && !strings.HasPrefix(got, "\x1b[1m") {
			t.Errorf("%q = %q", line, got)
		}
	}
	for status, want := range map[int]string{200: green, 101: cyan, 304: cyan, 404: yellow, 502: red, 0: ""} {
		x := exchange{method: "GET", target: "/x", began: noon, status: status}
		row := x.row(80)
		got := paintLine(headLines, row)
		if colour.ReplaceAllString(got, "") != row || strings.Contains(got, "\x1b["+want+"m") != (want != "") {
			t.Errorf("%d = %q, want the colour %q", status, got, want)
		}
	}
	t.Setenv("NO_COLOR", "1")
	if wantsColours() {
		t.Error("colours are wanted with NO_COLOR")
	}
}
