package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's binary also run as the handler and the proxy, as the bench does.
func TestMain(m *testing.M) {
	if role(os.Args[1:]) {
		return
	}
	os.Exit(m.Run())
}

func TestARunMeasuresWhatIsChosen(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip(errNoProc)
	}
	b, err := build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.remove()
	t.Run("all", func(t *testing.T) { measuresAll(t, b) })
	t.Run("one work", func(t *testing.T) { measuresOne(t, b) })
}

func measuresAll(t *testing.T, b *binaries) {
	svg := filepath.Join(t.TempDir(), "bench.svg")
	o, err := parse([]string{"--rounds=1", "--each=1ms", "--claims=5,20", "--svg", svg}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	o.most = 1 << 20
	r, err := b.measure(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.Rows {
		for _, through := range w.Ways {
			f := through.Figures
			if f.P50Ms <= 0 || f.P99Ms < f.P50Ms || (f.Rate > 0) != (w.Unit != "") {
				t.Errorf("%s, %s: %+v, want times, and a rate if it has a unit", w.Work, through.Way, f)
			}
			if through.Ratio.P50Ms <= 0 {
				t.Errorf("%s, %s: ratios are %+v", w.Work, through.Way, through.Ratio)
			}
		}
		base := proxyWay
		switch {
		case strings.HasSuffix(w.Work, farSuffix):
			base = proxiesWay
		case w.Work == webhooksWork:
			base = tabWay
		case w.Work == killedServed, w.Work == killedTold:
			base = "link"
		}
		if w.Ways[0].Way != base {
			t.Errorf("%s is compared with %s, want %s", w.Work, w.Ways[0].Way, base)
		}
	}
	for _, m := range r.Memory {
		if m.Goroutines < 0.5 { // so few claims are parked here that their goroutines partly reuse those of others
			t.Errorf("%d claims parked by %s: %v goroutines each, want at least one for each poll", m.Claims, m.Form, m.Goroutines)
		}
	}

	var table, text bytes.Buffer
	if err := errors.Join(r.writeTable(&table), r.writeJSON(&text), r.draw(svg)); err != nil {
		t.Fatal(err)
	}
	rows := []string{
		"GET 1 KiB at 1 ", "GET 1 KiB at 64 ", "echo 64 KiB of text at 16 ", "echo 64 KiB of bytes at 16 ", "server-sent event ",
		"256 MiB down ", "256 MiB up ", "GET 1 KiB at 1, 20 ms away ", "GET 1 KiB at 64, 20 ms away ", "64 MiB down, 20 ms away ", "64 MiB up, 20 ms away ",
		"WebSockets: 100 × 100 messages ", "WebSockets: 2 × 200 messages ", killedServed + " ", killedTold + " ",
		"concurrency ", "1024 ", "content ", "64 MiB ", "sessions ", "parked claims ", "5 ", "20 ",
		"goal ", "64 sessions on a claim ", "20 parked claims beside ", "20 parked claims ",
	}
	if len(r.Skipped) == 0 {
		rows = append(rows, "page: file of 64 MiB ", "page: echo 64 KiB of text at 16 ", "page: GET 1 KiB at 16 ", webhooksWork+" ")
	}
	for _, row := range rows {
		if !slices.ContainsFunc(strings.Split(table.String(), "\n"), func(line string) bool { return strings.HasPrefix(line, row) }) {
			t.Errorf("no row begins with %q in\n%s", row, &table)
		}
	}
	for _, way := range []string{proxyWay, proxiesWay, forwardWay, "poll", "stream", "framed", "link"} {
		at64 := r.Rows[slices.IndexFunc(r.Rows, func(w row) bool { return w.Work == "GET 1 KiB at 64" })]
		if _, ok := at64.by(way); !ok {
			t.Errorf("GET 1 KiB at 64 was not measured by %s", way)
		}
	}
	var again report
	if err := json.Unmarshal(text.Bytes(), &again); err != nil || !reflect.DeepEqual(&again, r) {
		t.Errorf("JSON has %+v, %v, want %+v", again, err, *r)
	}
	if p := r.picture(); len(p.Charts) != 4 || len(p.Bars) != len(r.Goals) {
		t.Errorf("the picture has %d charts and %d bars, want 4 and %d", len(p.Charts), len(p.Bars), len(r.Goals))
	}
	drawn, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(drawn, new(struct{})); err != nil {
		t.Errorf("the picture is not well-formed: %v", err)
	}
}

func measuresOne(t *testing.T, b *binaries) {
	o, err := parse([]string{"--rounds=1", "--each=1ms", "--only=^GET 1 KiB at 64$"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.measure(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 1 || len(r.Memory) != 0 {
		t.Errorf("%d rows and %d memories, want 1 and none", len(r.Rows), len(r.Memory))
	}
	f, _ := r.Rows[0].by("stream")
	if f.Figures.ProgramMallocs <= 0 {
		t.Errorf("allocations of the program by stream: %v, want some", f.Figures.ProgramMallocs)
	}
	// A gateway counts allocations when a span is full, which so few requests may not do.
	gateway, _, err := b.startGateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.stop()
	if n, err := gateway.mallocs(); n <= 0 || err != nil {
		t.Errorf("the gateway has allocated %v objects, %v; want some", n, err)
	}
}

func TestMediansAndPercentiles(t *testing.T) {
	same := func(f float64) float64 { return f }
	for _, c := range []struct {
		rounds []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := medianOf(c.rounds, same); got != c.want {
			t.Errorf("median of %v = %v, want %v", c.rounds, got, c.want)
		}
	}
	var rising []time.Duration
	for i := range 200 {
		rising = append(rising, time.Duration(i+1)*time.Millisecond)
	}
	for p, want := range map[int]float64{50: 100, 99: 198} {
		if got := percentile(rising, p); got != want {
			t.Errorf("percentile %d of 1…200 ms = %v, want %v", p, got, want)
		}
	}
	if got := percentile(rising[:1], 50); got != 1 {
		t.Errorf("percentile 50 of 1 ms = %v, want 1", got)
	}
}

func TestAMissedGoalReportsByHowMuch(t *testing.T) {
	r := &report{Rows: []row{{Work: "GET 1 KiB at 64", Ways: []through{
		{Way: "proxy"}, {Way: "poll", Ratio: figures{Rate: 1.4}}, {Way: "stream", Ratio: figures{Rate: 0.8}, Figures: figures{MiddleMallocs: 90, ProgramMallocs: 30}},
	}}, {Work: socketsWork(100, 100), Ways: []through{{Way: "proxy"}, {Way: nodeWay, Ratio: figures{Rate: 0.25}}}}}}
	r.judge()
	want := []string{"missed by 50 %", "missed by 100 %", "met", "met", "missed by 33 %"}
	var got []string
	for _, g := range r.Goals {
		got = append(got, g.verdict())
	}
	if !slices.Equal(got, want) {
		t.Errorf("verdicts are %q, want %q", got, want)
	}
}

func TestContentThatDiffersIsAnError(t *testing.T) {
	c := content{[]byte("abc"), 7}
	buffer := make([]byte, 4)
	for text, good := range map[string]bool{"abcabca": true, "abcabc": false, "abcabcab": false, "abcabba": false, "": false} {
		if err := c.expect(strings.NewReader(text), buffer); (err == nil) != good {
			t.Errorf("%q in place of abcabca: %v", text, err)
		}
	}
	if err := whole(nil).expect(strings.NewReader("a"), buffer); err == nil {
		t.Error("a byte after the expected content is no error")
	}
}

func TestARelayKeepsOrderAndEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	r, err := startRelay(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	near, err := net.Dial("tcp", r.address())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := near.Write([]byte{byte('0' + i)}); err != nil {
			t.Fatal(err)
		}
	}
	_ = near.Close()
	if got, err := io.ReadAll(far); string(got) != "0123456789" || err != nil {
		t.Errorf("the relay passed %q, %v", got, err)
	}
}

func TestInvalidFlagsAreRefused(t *testing.T) {
	for _, arg := range []string{"--rounds=0", "--each=0s", "--claims=5,5", "--claims=x", "--only=(", "--unknown", "word"} {
		if _, err := parse([]string{arg}, t.Output()); err == nil {
			t.Errorf("%s is accepted, want an error", arg)
		}
	}
}
