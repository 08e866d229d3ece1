package cluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

var largeFlag = flag.Int64("large", 64, "size of uploads and downloads, in MiB")

// mostMemory bounds how much more memory a node may take than before, in bytes.
const mostMemory = 48 << 20

// random returns content that is the same each time.
func random(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{}), size)
}

// sum returns the hash of content, and its size.
func sum(t *testing.T, content io.Reader) (hash string, size int64) {
	h := sha256.New()
	size, err := io.Copy(h, content)
	if err != nil {
		t.Errorf("after %d bytes: %v", size, err)
	}
	return hex.EncodeToString(h.Sum(nil)), size
}

func TestLargeContentPassesThroughThreeNodesInLittleMemory(t *testing.T) {
	c := start(t, "--acknowledge", "10m", "--no-poller", "10m")
	size := *largeFlag << 20
	want, _ := sum(t, random(size))
	for _, by := range transports {
		label := "large-" + string(by)
		servePlaced(t, c, label, by, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				hash, _ := sum(t, r.Body)
				_, _ = io.WriteString(w, hash)
				return
			}
			if r.URL.Path == "/known" {
				w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
			}
			if _, err := io.Copy(w, random(size)); err != nil {
				t.Error(err)
			}
		})
		visitor := dialing(c.All[2].Address)
		for _, path := range []string{"known", "unknown"} {
			t.Run(string(by)+" up, length "+path, func(t *testing.T) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URLOf(label), random(size))
				if err != nil {
					t.Fatal(err)
				}
				if path == "known" {
					r.ContentLength = size
				}
				c.within(t, func() {
					resp, err := visitor.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					if got, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(got) != want {
						t.Errorf("%d, the handler read content of the hash %.200s, want %s", resp.StatusCode, got, want)
					}
				})
			})
			t.Run(string(by)+" down, length "+path, func(t *testing.T) {
				c.within(t, func() {
					resp, err := visitor.Get(c.URLOf(label) + path)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					if got, n := sum(t, resp.Body); resp.StatusCode != http.StatusOK || got != want || n != size {
						t.Errorf("%d, %d bytes of the hash %s, want %d of %s", resp.StatusCode, n, got, size, want)
					}
				})
			})
		}
	}
}

// within transfers content, and fails if a node took too much more memory meanwhile.
func (c *Nodes) within(t *testing.T, transfer func()) {
	t.Helper()
	var before []int64
	for _, n := range c.All {
		n.forget(t)
		before = append(before, n.peak(t))
	}
	began := time.Now()
	transfer()
	t.Logf("%.0f MiB/s", float64(*largeFlag)/time.Since(began).Seconds())
	for i, n := range c.All {
		peak := n.peak(t)
		t.Logf("%s: %d MiB, at most %d", n.Name, before[i]>>20, peak>>20)
		if peak-before[i] > mostMemory {
			t.Errorf("%s took %d MiB more, want at most %d", n.Name, (peak-before[i])>>20, mostMemory>>20)
		}
	}
}

// forget has peak begin anew.
func (n *Node) forget(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(n.proc("clear_refs"), []byte("5"), 0); err != nil {
		t.Skip("memory is not measured here: ", err)
	}
}

// peak returns the most memory that the node has taken, in bytes.
func (n *Node) peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(n.proc("status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	kib, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// proc returns the path of a file of the process in Linux's /proc.
func (n *Node) proc(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return filepath.Join("/proc", strconv.Itoa(n.process.Process.Pid), name)
}
