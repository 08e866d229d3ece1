package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"reversehttp/schema"
)

// probe reads the metrics of a gateway. It owns a claim, whose requests make the gateway allocate and thus collect
// garbage.
type probe struct {
	client  http.Client
	control string
	claim   schema.ClaimAnswer
	litter  []byte
}

// sample holds the metrics at one moment.
type sample struct {
	resident, heap, stack, goroutines, polls, collections float64
}

func newProbe(address string) (*probe, error) {
	p := &probe{client: http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, control: "http://" + address}
	// A list of answers with much white space and no answer, which the gateway reads and then leaves to the collector.
	p.litter = append([]byte(`{"messages":[]}`), bytes.Repeat([]byte(" "), 64<<10)...)
	content, err := p.call("POST", "/claims", "", []byte(`{"label":"probe"}`))
	if err != nil {
		return nil, err
	}
	return p, json.Unmarshal(content, &p.claim)
}

// close closes the connection.
func (p *probe) close() { p.client.CloseIdleConnections() }

func (p *probe) call(method, path, token string, content []byte) ([]byte, error) {
	r, err := http.NewRequest(method, p.control+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: status %d: %.200s", method, path, resp.StatusCode, content)
	}
	return content, err
}

// sample reads the metrics.
func (p *probe) sample() (s sample, err error) {
	content, err := p.call("GET", "/metrics", "", nil)
	if err != nil {
		return s, err
	}
	members := map[string]*float64{
		"process_resident_memory_bytes": &s.resident, "go_memstats_heap_alloc_bytes": &s.heap, "go_memstats_stack_inuse_bytes": &s.stack,
		"go_goroutines": &s.goroutines, "reversehttp_polls_parked": &s.polls, "go_gc_duration_seconds_count": &s.collections,
	}
	found := 0
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if to := members[name]; to != nil {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return s, err
			}
			found++
		}
	}
	if found != len(members) {
		return s, fmt.Errorf("the metrics have %d of the %d that are needed", found, len(members))
	}
	return s, nil
}

// until waits until n polls are parked.
func (p *probe) until(n int) (s sample, err error) {
	for last := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s, err = p.sample(); err != nil || int(s.polls) == n {
			return s, err
		}
		if time.Now().After(last) {
			return s, fmt.Errorf("%v polls are parked, want %d", s.polls, n)
		}
	}
}

// settled makes the gateway collect garbage twice, because the first collection leaves objects that were made during
// it, and then takes a sample.
func (p *probe) settled() (s sample, err error) {
	if s, err = p.sample(); err != nil {
		return s, err
	}
	for enough := s.collections + 2; s.collections < enough; {
		if _, err = p.call("POST", pathOf(p.claim.Responses), p.claim.Token, p.litter); err != nil {
			return s, err
		}
		if s, err = p.sample(); err != nil {
			return s, err
		}
	}
	// The metrics count freed memory only after the background sweep.
	time.Sleep(200 * time.Millisecond)
	return p.sample()
}
