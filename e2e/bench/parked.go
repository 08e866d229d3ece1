package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"reversehttp/schema"
)

// form is how a parked claim waits for requests: by polls with an Accept field, or without one by a link.
type form struct{ name, accept string }

// forms are the forms whose memory is measured.
var forms = []form{
	{"batch", "application/json"},
	{"stream", "application/x-ndjson"},
	linkForm,
}

// linkForm is the form of parked claims with a link.
var linkForm = form{name: "link"}

// parking holds claims, each with a poll or a link on a connection of its own.
type parking struct {
	address string
	form    form
	parked  []*visitor
	linked  sync.WaitGroup // the goroutines that answer pings
}

// flags returns the flags of a gateway at which n claims can be parked without end. One address may hold half of all
// resources.
func (p *parking) flags(n int) []string {
	return []string{
		"--stream=10m", "--wait=10m", "--heartbeat=10m", "--lease=10m",
		"--max-claims=" + strconv.Itoa(4*n+1000), "--max-connections=" + strconv.Itoa(max(4*n, 32768)),
		"--memory=" + strconv.Itoa(1024+n/8) + "MiB",
	}
}

var errFiles = errors.New("the limit on open files is too low; see ulimit -n")

// room returns an error if a process may not have n connections.
func room(n int) error {
	var most syscall.Rlimit
	// Programs in Go raise their limit to the hard limit.
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most); err == nil && most.Max < uint64(n+500) {
		return errFiles
	}
	return nil
}

// until parks claims until there are n of them.
func (p *parking) until(ctx context.Context, n int) error {
	from := len(p.parked)
	more := make([]*visitor, n-from)
	var next atomic.Int64
	var all sync.WaitGroup
	faults := make([]error, 8)
	for worker := range faults {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(more) {
					return
				}
				if more[i], faults[worker] = p.park(from + i); faults[worker] != nil {
					next.Store(int64(len(more)))
					return
				}
			}
		})
	}
	all.Wait()
	for _, v := range more {
		if v != nil {
			p.parked = append(p.parked, v)
		}
	}
	return errors.Join(append(faults, ctx.Err())...)
}

// perAddress is how many connections come from one loopback address, which has too few ports for all.
const perAddress = 20_000

func (p *parking) park(i int) (*visitor, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/perAddress))}
	v, err := dialFrom(from, p.address, 10*time.Minute)
	if err != nil {
		return nil, err
	}
	c, err := v.claim(p.address, "parked-"+strconv.Itoa(i))
	if err == nil {
		err = p.poll(v, c)
	}
	if err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// poll sends a poll of a claim on this connection.
func (p *parking) poll(v *visitor, c schema.ClaimAnswer) error {
	fields := "Authorization: Bearer " + c.Token + "\r\nLast-Event-ID: " + c.Cursor + "\r\n"
	if p.form == linkForm {
		if err := v.upgrade(pathOf(c.Link), p.address, fields+"Sec-WebSocket-Protocol: reversehttp.1\r\n"); err != nil {
			return err
		}
		p.linked.Go(v.pong)
		return nil
	}
	err := v.send(requestOf("GET", pathOf(c.Requests), p.address, fields+"Accept: "+p.form.accept+"\r\n", content{}))
	// Nothing more arrives, so the bench can free its buffer.
	v.reader, v.buffer = nil, nil
	return err
}

// pong answers the pings of a link until the connection closes. Nothing else arrives, except the welcome before the
// first ping.
func (v *visitor) pong() {
	pong := frameOf([]byte(`{"type":"pong"}`))
	for buffer := make([]byte, 1024); ; {
		if _, err := v.message(buffer); err != nil {
			return
		}
		if _, err := v.conn.Write(pong); err != nil {
			return
		}
		if v.reader.Buffered() == 0 && v.reader.Size() > smallReader {
			v.reader, buffer = bufio.NewReaderSize(v.conn, smallReader), make([]byte, shortFrame)
		}
	}
}

// smallReader is the size of a buffer for pings, small because there are ten thousand links.
const smallReader = 64

// close closes the connections.
func (p *parking) close() {
	for _, v := range p.parked {
		v.close()
	}
	p.linked.Wait()
	p.parked = nil
}

// claim claims a label on this connection.
func (v *visitor) claim(address, label string) (c schema.ClaimAnswer, err error) {
	const typed = "Content-Type: application/json\r\n"
	answer, err := v.ask(requestOf("POST", "/claims", address, typed, whole([]byte(`{"label":"`+label+`"}`))), 201)
	if err != nil {
		return c, fmt.Errorf("claim %s: %w", label, err)
	}
	return c, json.Unmarshal(bytes.TrimSpace(answer), &c)
}

// pathOf returns the path of a URL that the gateway gave.
func pathOf(given string) string {
	u, err := url.Parse(given)
	if err != nil {
		return given
	}
	return u.RequestURI()
}
