// Package reversehttp serves HTTP from a program that can only make HTTP requests.
//
// A gateway lends URL space. A program claims a label there, gets a public URL, and answers what
// visitors send to it with any [http.Handler]. Nothing listens and no port is opened: the program
// opens a connection to the gateway that carries requests one way and answers the other (a link),
// or it polls for requests and posts its answers. A session uses the fastest way that works through
// whatever is in between, falls back by itself, and loses no request by falling back: see
// [Options].Transport.
//
//	c, err := reversehttp.Claim(ctx, "https://gateway.example", &reversehttp.Options{Label: "demo"})
//	if err != nil {
//		return err // errors.Is(err, reversehttp.ErrLabelTaken)
//	}
//	defer c.Close()
//	fmt.Println(c.URL())
//	return c.Serve(router)
//
// # Names that last
//
// A label belongs to the holder of its token. Keep [Session.Token] and pass it in [Options] to get
// the same URL after a restart. After an outage of the network or of the gateway the session comes
// back by itself, with its label. [Session.State] and [Options.OnState] report its state.
//
// # Handlers
//
// A handler gets its request as from a [http.Server] mounted at the claim's URL: a router mounted
// at / works whether the URL has a path or not. URL and RequestURI lack the path of the claim and
// are otherwise exact. A target that is not a valid URL, such as /%zz, is undecoded in URL.Path and
// URL.Opaque. If a path has a raw character that net/url escapes, URL.RawPath has it escaped, so
// that a proxy passes on every other escape as it came: /a%2Fb|c as /a%2Fb%7Cc. Content is exact,
// header values are the bytes that the visitor sent, and TLS is nil. [RequestInfo] returns what a
// request has no place for.
//
// The request's context ends when the visitor leaves, when the time for the answer is over before
// the answer has begun, when the handler returns, and when the session is closed. [context.Cause],
// compared by errors.Is, is [context.Canceled] in the first case, [context.DeadlineExceeded] in the
// second, in which the visitor gets 504, and [ErrClosed] in the last.
//
// # Streams
//
// Content of any size streams in both directions at the same time, in little memory. Small content
// comes with the request. The first Read asks for content that is long or of unknown length: until
// then the visitor waits for 100 (Continue) or for a refusal. The visitor sends as fast as the
// handler reads. ContentLength is -1 if it is unknown, and Trailer is filled at the end.
//
// What a handler writes is held until it returns and is sent as one message, which is the fast way.
// After a flush, or beyond 128 KiB, it is streamed, and a flush sends what is there at once. Write
// waits while the visitor is slow, and fails once they have left. [io.Copy], [http.ServeContent],
// [net/http/httputil.ReverseProxy] and server-sent events work as they do on a server, and trailers
// are sent. Large content goes in requests that grow to 128 KiB while the visitor is fast, or in a
// single one if its length was declared; if a proxy refuses large requests, it goes in smaller
// ones.
//
// An answer that has begun belongs to one session of the gateway. If that session is lost, the
// context ends, writes fail, and the visitor sees an answer that is cut short. The same happens
// after a panic, and if less was written than declared.
//
// The rules of a net/http server hold (guessed Content-Type, superfluous WriteHeader, content with HEAD and 204, declared
// Content-Length, deadlines). These differ:
//
//   - Informational responses (102 to 199) precede the answer, at most 16 of them; 100 (Continue) is sent when the
//     content is read, and not by WriteHeader.
//   - 205 has no content, and 304 may have a Content-Type and a Content-Length (RFC 9110, 15.3.6 and 15.4.5).
//   - As long as nothing was sent, a panic causes a 500, and so does an answer that cannot be sent (a status above 599, a
//     Content-Length that does not match, too large a header); the error is logged. [http.ErrAbortHandler] abandons the
//     exchange: the visitor gets 502.
//   - Content-Type is not guessed if the handler sets Date: that is an answer of another server, relayed by a proxy. A
//     proxy whose server may omit Date sets a missing Content-Type to nil, as under net/http.
//   - A flush that completes the answer, to HEAD, with 204 or with a declared length, ends the exchange. The context lasts
//     until the time for the answer is over or the handler returns.
//   - The gateway times out a handler that declared more than a megabyte, has sent much of it, and is then silent for a
//     minute; any other may be silent for as long as it likes.
//   - A Location that begins with a slash leads out of the claim if its URL has a path. Relative ones, as
//     [http.FileServer] sends them, and ones built on [Info].Base stay within it.
//
// # Transports
//
// A session opens a link, a WebSocket for requests and answers. Proxies that tunnel by CONNECT, as
// they do for https, pass it; others mostly do not. If the gateway has no links or they do not
// work, the session asks for a stream, one long answer of messages with their content beside them,
// and posts its answers in the same form. If that does not work either, it asks for a stream of
// JSON, and then for batches. It tries a faster way again after five minutes. A lost link ends no
// handler: what was sent on it without a result is posted, and the gateway takes nothing twice.
//
// All requests use [Options].Client, and so its proxies, certificates and cookies; by default
// HTTP_PROXY, HTTPS_PROXY and NO_PROXY are honoured. A proxy that passes only GET and POST is
// enough. Then Close and Shutdown cannot end the session at the gateway, and Delete fails: the
// gateway notices after a while, and a program that shows the token gets the label back at once.
//
// # WebSockets
//
// A request to upgrade to a WebSocket looks as under net/http, and its ResponseWriter is an
// [http.Hijacker]: the usual libraries, and [net/http/httputil.ReverseProxy], need nothing else.
// Other ResponseWriters are not Hijackers, as in HTTP/2. A handler may call WriteHeader(101) and
// then Hijack, or Hijack and then write a response to the connection, even an ordinary one.
//
// The connection is a [net.Conn] with all its deadlines. Write waits while the visitor is slow;
// Close sends what was written and does not wait. The connection may outlive the handler: the
// exchange lasts until it is closed or the visitor leaves, and the 101 ends the time for the
// answer. After the visitor has left, what they sent can still be read, followed by [io.EOF]. The
// request's context ends when the handler returns, or soon after the visitor left and nobody read.
// Shutdown waits for such connections, and Close cuts them.
//
// # Ending
//
// [Session.Shutdown] drains: running handlers answer, the rest moves on to other sessions of the
// claim. [Session.Close] ends at once. Both leave the claim to its lease; [Session.Delete] gives up
// the label.
//
// # Delivery
//
// A session begins a request at most once, even if the gateway delivers it again because it cannot
// know. [Options].Redeliver says whether a request that was lost with its session may go to
// another.
//
// schema/README.md describes the protocol, for programs that do not use this package.
package reversehttp
