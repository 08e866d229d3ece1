package reversehttp

import (
	"errors"
	"fmt"
)

// Transport is how requests come from the gateway.
type Transport string

// The transports.
const (
	// TransportAuto takes the fastest that works: a link, then a stream in the framed form, then a stream, then batches. It
	// falls back by itself, and tries the faster one again after five minutes.
	TransportAuto Transport = "auto"
	// TransportLink asks for a link: one WebSocket for requests and answers. Where there is none, or something between does not
	// let it through, it is TransportFramed, and the link is tried again after five minutes.
	TransportLink Transport = "link"
	// TransportPoll asks for batches. Every request is a short one: a GET, or a POST of JSON.
	TransportPoll Transport = "poll"
	// TransportStream asks for a stream (NDJSON), and for batches where the gateway has none or something keeps it back.
	TransportStream Transport = "stream"
	// TransportFramed asks for a stream in the framed form, whose content is bytes beside its envelopes. Where there is none it
	// is TransportStream.
	TransportFramed Transport = "framed"
	// TransportPTTH upgrades a connection to HTTP/2 from the gateway to this program (Upgrade: ptth), and never polls. The
	// error is ErrNoTunnel where that cannot be.
	TransportPTTH Transport = "ptth"
)

// ErrNoTunnel says that there is no tunnel: the gateway has no such door, or something between does not let it through.
// It is returned with TransportPTTH only, by Claim or by Serve.
var ErrNoTunnel = errors.New("reversehttp: no tunnel")

func (t Transport) valid() error {
	switch t {
	case TransportAuto, TransportLink, TransportPoll, TransportStream, TransportFramed, TransportPTTH:
		return nil
	}
	return fmt.Errorf("%q is no transport; use auto, link, poll, stream, framed or ptth", string(t))
}
