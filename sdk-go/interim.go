package reversehttp

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"reversehttp/schema"
)

// Informational responses go ahead of the answer: their posts come before its post, one after the other. The handler
// does not wait for them. They are tried once, because an answer is worth more without them than late.

const (
	// More are refused by the gateway.
	interimsMost = 16
	// How long one may hold the answer back.
	interimTimeout = 5 * time.Second
)

// interims are the informational responses of an exchange. The zero value is ready.
type interims struct {
	mu      sync.Mutex // guards what follows
	count   int
	waiting []*reply
	idle    chan struct{} // closed when all were posted; nil if none is on its way
}

// inform posts an informational response after those before it.
func (p *poster) inform(x *exchange, status int, h http.Header) {
	r := &reply{status: status, fields: appendHeader(nil, h, notInterim)}
	if !r.measure(x.id, p.session.current()) {
		p.session.log.Warn("interim response too large", x.logged(), "status", status)
		return
	}
	i := &x.interims
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.count++; i.count > interimsMost {
		return
	}
	if l := p.session.link.Load(); l != nil && i.idle == nil && l.inform(x, r) {
		return
	}
	i.waiting = append(i.waiting, r)
	if i.idle == nil {
		idle := make(chan struct{})
		i.idle = idle
		p.session.running.Go(func() {
			defer close(idle)
			for r := i.next(); r != nil; r = i.next() {
				p.sendInterim(x, r)
			}
		})
	}
}

// next returns the next one to post. After nil the next call of inform begins anew.
func (i *interims) next() (r *reply) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.waiting) == 0 {
		i.idle = nil
		return nil
	}
	r, i.waiting = i.waiting[0], i.waiting[1:]
	return r
}

// posting reports whether some are being posted.
func (i *interims) posting() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.idle != nil
}

// wait waits until all are posted.
func (i *interims) wait() {
	i.mu.Lock()
	idle := i.idle
	i.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

func (p *poster) sendInterim(x *exchange, interim *reply) {
	// Not the context of the exchange, which ends when the handler returns.
	ctx, cancel := context.WithTimeout(p.session.life, interimTimeout)
	defer cancel()
	at := p.session.exchanges.claimed(x)
	form := at.form(0)
	message := form.Interim(x.id, interim.status, interim.fields)
	results, err := p.session.gateway.results(ctx, call{method: "POST", at: at.answers, bearer: at.Token, media: form.Media(), content: pieces{message}})
	if err != nil {
		at.unframes(form, err)
		p.session.log.Warn("interim response not taken", x.logged(), "error", err)
		return
	}
	for _, r := range results {
		p.informed(x, r)
	}
}

// informed logs what the gateway finds wrong with an informational response, or leaves out of it.
func (p *poster) informed(x *exchange, r schema.Result) {
	if r.Status == schema.ResultInvalid {
		p.session.log.Error("interim response invalid", x.logged(), "pointer", pointer(r), "detail", r.Detail)
	} else {
		p.session.partly(x, r)
	}
}

// notInterim reports whether a field is none of an informational response.
func notInterim(name string) bool {
	return name == "Transfer-Encoding" || name == "Trailer" || strings.HasPrefix(name, http.TrailerPrefix)
}
