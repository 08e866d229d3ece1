package family

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"reversehttp/schema/envelope"
	"reversehttp/schema/vectors"
	"reversehttp/server/gateway"
)

// programs makes a program serve a handler on demo, through each door of schema/vectors/doors.json, until the
// test ends. It returns once the program accepts requests.
var programs = map[string]func(*town, http.Handler){
	"json":                  polls("application/json"),
	"ndjson":                polls("application/x-ndjson"),
	"framed":                polls(envelope.MediaFramed),
	"sse":                   polls("text/event-stream"),
	"link":                  byLink,
	"reversehttp":           reverses("message/http"),
	"reversehttp-pipelines": reverses("application/http, message/http;q=0.5"),
	"comet2008":             comets,
	"ptth":                  turns(1, "ptth"),
	"ptth-three":            turns(3, "ptth"),
	"device":                turns(4, "device"),
	"ptth-h2":               turns(1, "ptth-h2"),
	"ptth-http1":            turns(1, "ptth-http1"),
	"reverse-h2":            turns(1, "reverse-h2"),
	"connect-h2":            turns(1, "connect-h2"),
	"rh2":                   turns(1, "rh2"),
	"rh1":                   turns(1, "rh1"),
}

// apart are the doors that need a separate process, since net/http reads GODEBUG once.
var apart = map[string]string{"connect-h2": "http2xconnect=1"}

// TestDoors plays every conversation, and every exchange, of schema/vectors through every door.
func TestDoors(t *testing.T) {
	family := vectors.Doors()
	for _, d := range family.Doors {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			if want := apart[d.Name]; want != "" && !strings.Contains(os.Getenv("GODEBUG"), want) {
				inChild(t, d.Name, want)
				return
			}
			if *clustered && strings.HasPrefix(d.Name, "rh") {
				t.Skip("its listener belongs to one gateway")
			}
			if programs[d.Name] == nil {
				t.Fatal("there is no program for it")
			}
			for _, c := range family.Cases {
				t.Run(c.Name, func(t *testing.T) {
					t.Parallel()
					converse(t, d.Name, c)
				})
			}
			t.Run("exchanges", func(t *testing.T) {
				t.Parallel()
				exchanges(t, family, d)
			})
		})
	}
}

// TestProgramsReachTheHomeOfTheirLabelByAnyNode connects programs to three nodes in turn.
func TestProgramsReachTheHomeOfTheirLabelByAnyNode(t *testing.T) {
	for _, way := range []string{"ptth", "device", "ptth-h2", "ptth-http1", "reverse-h2"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newTownOf(t, gateway.Options{}, true)
			turns(3, way)(w, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "here") }))
			w.visit("GET", "demo", "/", "").got(200, "here")
		})
	}
	for way, path := range map[string]string{"listed device": "/k-demo", "listed ptth": "/ptth/k-demo"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newTownOf(t, gateway.Options{Doors: Doors(Options{Devices: []Device{{"demo", "k-demo"}}}), Owned: map[string]string{"demo": "k-demo"}}, true)
			for range 3 {
				w.ends.Go(func() {
					conn, resp := w.send("POST " + path + " HTTP/1.1\r\n" + strings.ReplaceAll(upgradeFields, "localhost:8080", "{host}") + "\r\n")
					if resp.StatusCode != http.StatusSwitchingProtocols {
						t.Errorf("the device got %d, want 101", resp.StatusCode)
						return
					}
					conn.request()
					_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nhere")
					_ = conn.Close()
				})
			}
			waitFor(t, func() bool { return t.Failed() || w.Registry().Stats().Polls == 3 })
			for range 3 {
				w.visit("GET", "demo", "/", "").got(200, "here")
			}
			w.ends.Wait()
		})
	}
}

// inChild runs the test of a door in a process with a setting in GODEBUG.
func inChild(t *testing.T, door, setting string) {
	child := exec.Command(os.Args[0], fmt.Sprintf("-test.run=^TestDoors$/^%s$", door), "-test.v", "-test.timeout=1h", fmt.Sprintf("-cluster=%v", *clustered))
	child.Env = append(os.Environ(), "GODEBUG="+setting)
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDoors/"+door) {
		t.Fatalf("%v\n%s", err, out)
	}
}
