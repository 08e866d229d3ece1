package claim

// idempotentMethods may be sent twice (RFC 9110, 9.2.2): all methods that IANA's HTTP Method
// Registry lists as idempotent and that a visitor can send.
var idempotentMethods = map[string]bool{
	"ACL": true, "BASELINE-CONTROL": true, "BIND": true, "CHECKIN": true, "CHECKOUT": true, "COPY": true,
	"DELETE": true, "GET": true, "HEAD": true, "LABEL": true, "LINK": true, "MERGE": true, "MKACTIVITY": true,
	"MKCALENDAR": true, "MKCOL": true, "MKREDIRECTREF": true, "MKWORKSPACE": true, "MOVE": true, "OPTIONS": true,
	"ORDERPATCH": true, "PROPFIND": true, "PROPPATCH": true, "PUT": true, "QUERY": true, "REBIND": true,
	"REPORT": true, "SEARCH": true, "TRACE": true, "UNBIND": true, "UNCHECKOUT": true, "UNLINK": true,
	"UNLOCK": true, "UPDATE": true, "UPDATEREDIRECTREF": true, "VERSION-CONTROL": true,
}

// idempotent reports whether a method may be sent twice.
func idempotent(method string) bool { return idempotentMethods[method] }

// MayRepeat reports whether a request with a method, for the claim of a label, may be given to several
// programs, as far as its method says: a field may allow it too. It also does if r has no such claim.
func MayRepeat(r *Registry, label, method string) bool {
	c := r.Lookup(label)
	if c == nil || idempotent(method) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.terms.Redeliver == RedeliverAny || c.terms.Redeliver == RedeliverKeyed
}

// mostMoves is how often an exchange may be delivered again after it was given to a
// session that had no answer.
const mostMoves = 2

// moveOn takes x from its session and queues it again. The caller holds claim.mu and knows that x
// may be repeated.
func (x *Exchange) moveOn() {
	delete(x.session.held, x.id)
	x.lost = true
	x.moves++
	x.due.lookLater()
}

// mayRepeat reports whether x may be delivered again after its session was lost. The caller holds
// claim.mu.
func (x *Exchange) mayRepeat() bool {
	if x.moves >= mostMoves || x.fetched || x.state == answering {
		return false
	}
	switch x.claim.terms.Redeliver {
	case RedeliverAny:
		return true
	case RedeliverKeyed:
		return x.request.Keyed || idempotent(x.request.Method)
	}
	return idempotent(x.request.Method)
}
