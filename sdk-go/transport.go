package reversehttp

import "fmt"

// Transport is the way in which requests come from the gateway.
type Transport string

// The transports.
const (
	// TransportAuto uses the fastest that works: a link, a stream in the framed form, a stream, or
	// batches. It falls back by itself, and tries a faster one again after five minutes.
	TransportAuto Transport = "auto"
	// TransportLink asks for a link: one WebSocket for requests and answers. If the gateway has
	// none, or a proxy does not pass it, it acts as TransportFramed and tries a link again after
	// five minutes.
	TransportLink Transport = "link"
	// TransportPoll asks for batches. Every request is a short one: a GET, or a POST of JSON.
	TransportPoll Transport = "poll"
	// TransportStream asks for a stream (NDJSON), and for batches if the gateway has none or a
	// proxy delays it.
	TransportStream Transport = "stream"
	// TransportFramed asks for a stream in the framed form, whose content is bytes beside its
	// envelopes. If the gateway has none it acts as TransportStream.
	TransportFramed Transport = "framed"
)

func (t Transport) valid() error {
	switch t {
	case TransportAuto, TransportLink, TransportPoll, TransportStream, TransportFramed:
		return nil
	}
	return fmt.Errorf("%q is no transport; use auto, link, poll, stream or framed", string(t))
}
