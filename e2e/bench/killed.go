package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// The works of killed programs.
const (
	killedServed = "killed program: another session serves"
	killedTold   = "killed program: the visitor gets 502"
)

// killedAtOnce is how many programs are killed at a time.
const killedAtOnce = 4

// killed measures how soon after the kill of its program a visitor is served by another session of the claim, or gets
// the error that there is none.
func (s *suite) killed(ctx context.Context) error {
	var ways []way
	jobs := []job{
		{killing(killedServed, true), func() []way { return ways }},
		{killing(killedTold, false), func() []way { return ways }},
	}
	if jobs = s.chosen(jobs); len(jobs) == 0 {
		return nil
	}
	gateway, address, err := s.startGateway(ctx)
	if err != nil {
		return err
	}
	defer gateway.stop()
	ways = []way{{name: string(reversehttp.TransportLink), address: address}}
	return s.rounds(ctx, "killed programs", jobs)
}

// killing returns a work that kills programs, each with a claim of its own, while they hold a request that may be
// delivered again. Each has another session beside it, or none.
func killing(name string, other bool) work {
	return work{name: name, measure: func(ctx context.Context, w way) (f figures, err error) {
		took, faults := make([]time.Duration, killedAtOnce), make([]error, killedAtOnce)
		var all sync.WaitGroup
		for i := range took {
			all.Go(func() { took[i], faults[i] = kill(ctx, w, other) })
		}
		all.Wait()
		if err := errors.Join(faults...); err != nil {
			return f, err
		}
		slices.Sort(took)
		return figures{P50Ms: percentile(took, 50), P99Ms: percentile(took, 99)}, nil
	}}
}

// kill kills one program, and returns how long its visitor waited from then on.
func kill(ctx context.Context, w way, other bool) (took time.Duration, err error) {
	token := rand.Text()
	session := func(holds bool) (*process, error) {
		return again(ctx, roleSession, "http://"+w.address, w.name, "killed-"+strings.ToLower(token), token, strconv.FormatBool(holds))
	}
	doomed, err := session(true)
	if err != nil {
		return 0, err
	}
	defer doomed.stop()
	at, err := url.Parse(doomed.said[0])
	if err != nil {
		return 0, err
	}
	v, err := dial(w.address, time.Minute)
	if err != nil {
		return 0, err
	}
	defer v.close()
	if err := v.send(requestOf("GET", "/", at.Host, "", content{})); err != nil {
		return 0, err
	}
	if _, err := download("http://" + doomed.said[1]); err != nil { // it answers once it holds the request
		return 0, err
	}
	if other {
		p, err := session(false)
		if err != nil {
			return 0, err
		}
		defer p.stop()
	}
	begun := time.Now()
	if err := doomed.cmd.Process.Kill(); err != nil {
		return 0, err
	}
	status, body, err := v.receive()
	if err != nil {
		return 0, err
	}
	took = time.Since(begun)
	said, err := io.ReadAll(body)
	if served := status == 200; err == nil && (served != other || !served && status < 500) {
		err = fmt.Errorf("status %d after the program was killed: %.200s", status, said)
	}
	return took, err
}

// roleSession is the argument with which the bench starts itself as a program with one session.
const roleSession = "as-session"

// serveSession serves the label args[2] with the token args[3] at the gateway args[0], by the transport args[1]. If
// args[4] is true, it holds every request until it is cancelled. It prints the public URL, and an address that answers
// once it holds a request.
func serveSession(args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("give gateway, transport, label, token and whether requests are held, not %q", args)
	}
	holds, err := strconv.ParseBool(args[4])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	transport := reversehttp.Transport(args[1])
	s, err := reversehttp.Claim(context.Background(), args[0], &reversehttp.Options{
		Label: args[2], Token: args[3], Transport: transport, Client: clientOf(transport),
	})
	if err != nil {
		return err
	}
	held, ended := make(chan struct{}, 1), make(chan error, 3)
	go func() {
		ended <- s.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if holds {
				held <- struct{}{}
				<-r.Context().Done()
				return
			}
			answer(w, "text/plain; charset=utf-8", whole(small))
		}))
	}()
	go func() {
		ended <- http.Serve(l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-held:
			case <-r.Context().Done():
			}
		}))
	}()
	go func() { bereft(); ended <- nil }()
	fmt.Println(s.URL(), l.Addr())
	return <-ended
}
