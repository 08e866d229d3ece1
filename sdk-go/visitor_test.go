package reversehttp_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// patient makes a client wait for 100 (Continue).
func patient(c *http.Client) { c.Transport.(*http.Transport).ExpectContinueTimeout = patience }

// visitorOf visits a URL.
type visitorOf struct {
	client *http.Client
	url    string
}

func (v visitorOf) request(method string, content io.Reader) *http.Request {
	req, err := http.NewRequest(method, v.url, content)
	if err != nil {
		panic(err)
	}
	return req
}

// head returns the status, and when the head arrived.
func (v visitorOf) head(method string) string {
	start := time.Now()
	resp, err := v.client.Do(v.request(method, nil))
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode, " ", time.Since(start))
}

func get(v visitorOf) string { return v.do(v.request("GET", nil)) }

func sum(v visitorOf) string { return v.total(v.request("GET", nil)) }

// do describes what arrived, and when.
func (v visitorOf) do(req *http.Request) string {
	start := time.Now()
	resp, err := v.client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text := fmt.Sprint(resp.StatusCode, " ", resp.ContentLength, " ", resp.Header["Content-Type"])
	buf := make([]byte, 4096)
	last := time.Duration(-1)
	for {
		n, err := resp.Body.Read(buf)
		if at := time.Since(start); n > 0 && at != last {
			text += fmt.Sprint(" ", at, ":")
			last = at
		}
		text += string(buf[:n])
		if err != nil {
			return fmt.Sprint(text, " ", ending(err), " ", resp.Trailer)
		}
	}
}

// total returns how much content arrived, and a digest of it.
func (v visitorOf) total(req *http.Request) string {
	resp, err := v.client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", resp.ContentLength, " ", n, " ", hex.EncodeToString(h.Sum(nil)), " ", ending(err), " ", resp.Trailer)
}

func ending(err error) string {
	if err == nil || err == io.EOF {
		return "end"
	}
	return err.Error()
}

// pattern returns endless content in which no two places look alike for long.
func pattern() io.Reader { return &patterned{} }

type patterned struct{ at uint32 }

// stripes are the 256 bytes of content that begin where at is a multiple of 256. With the race detector,
// copying them is much cheaper than computing each byte.
var stripes = func() (all [256][256]byte) {
	for i := range all {
		for j := range all[i] {
			all[i][j] = byte(i ^ j)
		}
	}
	return all
}()

func (p *patterned) Read(b []byte) (int, error) {
	for n := 0; n < len(b); {
		copied := copy(b[n:], stripes[byte(p.at>>8^p.at>>16)][p.at&0xff:])
		n += copied
		p.at += uint32(copied)
	}
	return len(b), nil
}

var large, _ = io.ReadAll(io.LimitReader(pattern(), 3_000_000))

// counted counts the bytes read.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}
