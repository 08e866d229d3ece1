package reversehttp

import "fmt"

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
)

func (t Transport) valid() error {
	switch t {
	case TransportAuto, TransportLink, TransportPoll, TransportStream, TransportFramed:
		return nil
	}
	return fmt.Errorf("%q is no transport; use auto, link, poll, stream or framed", string(t))
}
