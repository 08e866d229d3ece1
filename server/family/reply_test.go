package family

import (
	"io"
	"net/http"
	"strings"

	"reversehttp/schema"
)

// sender is how a program of a polled door sends its handler's answer.
type sender interface {
	// inform sends an interim response.
	inform(status int, h http.Header) error
	// whole sends a whole response.
	whole(status int, h http.Header, content []byte, trailers http.Header) error
	// begin sends a head, and part content; last marks its end.
	begin(status int, h http.Header) error
	part(content []byte, last bool, trailers http.Header) error
	// fail means that there is no response, or no more of it.
	fail()
	// upgrade answers 101.
	upgrade(h http.Header) (io.ReadWriteCloser, error)
}

// reply is a http.ResponseWriter onto a sender.
type reply struct {
	sender
	header http.Header
	status int
	began  bool
	held   []byte
	err    error
}

// answer makes a handler answer a request.
func answer(w sender, h http.Handler, r *http.Request) {
	p := &reply{sender: w, header: http.Header{}}
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			w.fail()
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(p, r)
	if p.status != http.StatusSwitchingProtocols {
		p.end()
	}
}

func (p *reply) Header() http.Header { return p.header }

func (p *reply) WriteHeader(status int) {
	if status < 200 {
		p.err = p.inform(status, p.fields())
	} else if p.status == 0 {
		p.status = status
	}
}

func (p *reply) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	p.held = append(p.held, b...)
	return len(b), p.err
}

func (p *reply) FlushError() error {
	p.WriteHeader(http.StatusOK)
	if !p.began {
		p.began = true
		p.err = p.begin(p.status, p.fields())
	}
	if p.err == nil && len(p.held) > 0 {
		p.err = p.part(p.held, false, nil)
	}
	p.held = nil
	return p.err
}

func (p *reply) end() {
	p.WriteHeader(http.StatusOK)
	switch {
	case p.err != nil:
	case p.began:
		p.err = p.part(p.held, true, p.trailers())
	default:
		p.err = p.whole(p.status, p.fields(), p.held, p.trailers())
	}
}

func (p *reply) upgrade(fields []schema.Field) (io.ReadWriteCloser, error) {
	setFields(p.header, fields)
	p.status = http.StatusSwitchingProtocols
	return p.sender.upgrade(p.header)
}

// fields returns the fields of the header that are not trailers.
func (p *reply) fields() http.Header {
	h := http.Header{}
	for name, values := range p.header {
		if len(values) > 0 && !strings.HasPrefix(name, http.TrailerPrefix) {
			h[name] = values
		}
	}
	return h
}

func (p *reply) trailers() http.Header {
	h := http.Header{}
	for name, values := range p.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			h[name] = values
		}
	}
	return h
}
