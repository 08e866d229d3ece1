// Package reversehttp serves HTTP from a program that can only make HTTP requests.
//
// A gateway lends URL space. A program claims a label there, gets a public URL, and answers what visitors send to it with
// any [http.Handler]. Nothing listens and no port is opened: the program makes a connection to the gateway that carries requests
// one way and answers the other (a link), or polls it for requests and posts its answers. A session takes the fastest that passes what is
// between, falls back by itself, and loses no request by that: see [Options].Transport.
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
// A label belongs to whoever shows its token. Keep [Session.Token] and give it in [Options] to have the same URL after a
// restart. An outage of the network or of the gateway needs nothing from the program: the session comes back by itself,
// with its label. [Session.State] and [Options.OnState] tell how it stands.
//
// # Handlers
//
// A handler gets its request as from a [http.Server] mounted at the claim's URL: a router mounted at / works whether the
// URL has a path or not. URL and RequestURI have the path of the claim taken off and are exact otherwise; a target that
// is no URL, such as /%zz, stands undecoded in URL.Path and URL.Opaque. Where a path has a raw character that net/url
// escapes, URL.RawPath has it escaped, so that a proxy sends every escape on as it came: /a%2Fb|c as /a%2Fb%7Cc. Content
// is exact, header values are the bytes that the visitor sent, and TLS is nil. [RequestInfo] has what a request has no
// place for.
//
// The request's context ends when the visitor leaves, when the time for the answer is over and it has not begun, when the
// handler returns, and when the session is closed. [context.Cause] says which, by errors.Is: [context.Canceled] is the
// first, [context.DeadlineExceeded] the second, for which the visitor has 504, and [ErrClosed] the last.
//
// # Streams
//
// Content of any size passes in both directions, at the same time, and little of it is held. Small content comes with the
// request. What is long or of unknown length is asked for by the first Read: until then the visitor waits for 100
// (Continue) or for a refusal. The visitor sends as fast as the handler reads. ContentLength is -1 where nobody knows it,
// and Trailer is filled at the end.
//
// What a handler writes is held until it returns, and goes as one message: that is the fast way. After a flush, or with
// more than 128 KiB, it goes as it comes, and a flush sends what is there at once. Write waits while the visitor is slow,
// and fails when he has left. [io.Copy], [http.ServeContent], [net/http/httputil.ReverseProxy] and server-sent events work
// as they do on a server, and trailers are sent. Much goes in requests that grow to 128 KiB while the visitor is fast,
// and in one where its length was declared; where something before the gateway refuses large ones it goes in smaller
// ones.
//
// An answer that has begun belongs to one session of the gateway. If that is lost, the context ends, writes fail, and the
// visitor sees an answer that is cut short; so he does after a panic, and when less was written than declared.
//
// The rules of a net/http server hold (guessed Content-Type, superfluous WriteHeader, content with HEAD and 204, declared
// Content-Length, deadlines). These differ:
//
//   - Informational responses (102 to 199) go ahead of the answer, at most 16 of them; 100 (Continue) is sent when the
//     content is read, and not by WriteHeader.
//   - 205 takes no content, and 304 may tell a Content-Type and a Content-Length (RFC 9110, 15.3.6 and 15.4.5).
//   - As long as nothing was sent, a panic answers 500, and so does an answer that cannot be sent (a status above 599, a
//     Content-Length that was not kept, too large a header); the logger is told. [http.ErrAbortHandler] gives the exchange
//     up: the visitor gets 502.
//   - Content-Type is not guessed where the handler sets Date: that is an answer of another server, relayed by a proxy. A
//     proxy whose server may send no Date sets the Content-Type that is missing to nil, as under net/http.
//   - A flush that completes the answer, of HEAD or 204 or a declared length, ends the exchange. The context lasts until
//     the time for the answer is over or the handler returns.
//   - A handler that declared more than a megabyte, has begun with much of it, and is then silent for a minute is timed out
//     by the gateway; any other may be silent for as long as it likes.
//   - A Location that begins with a slash leaves the claim where its URL has a path. Relative ones, as
//     [http.FileServer] gives them, and ones built on [Info].Base stay.
//
// # Transports
//
// A session opens a link, a WebSocket for requests and answers. Proxies that are asked to CONNECT pass it, as they do for https;
// others mostly do not. Where the gateway has none, or it does not pass, the session asks for a stream, one long answer of messages
// with their content beside them, and posts its answers in the same form; then for a stream of JSON, and where streams are kept
// back for batches. What was kept back is tried again after five minutes. A link that is lost ends no handler: what was sent there
// and is not confirmed is posted, and the gateway takes nothing twice.
//
// All of it goes by [Options].Client, and so by its proxies, certificates and cookies; by default HTTP_PROXY, HTTPS_PROXY
// and NO_PROXY are honoured. A proxy that lets only GET and POST pass is enough. Close and Shutdown cannot tell the
// gateway then that the session ends, and Delete fails: the gateway finds out after a while, and the label is back at
// once for whoever shows its token.
//
// # WebSockets
//
// A request to upgrade to a WebSocket is one as under net/http, and its ResponseWriter is an [http.Hijacker]: the usual
// libraries, and [net/http/httputil.ReverseProxy], need nothing else. Other ResponseWriters are none, as with HTTP/2. Both
// ways are understood: WriteHeader(101) and then Hijack, and Hijack and then a response written to the connection, which
// may be an ordinary one.
//
// The connection is a [net.Conn] with all its deadlines. Write waits while the visitor is slow; Close sends what was
// written and does not wait. It may outlive the handler: the exchange lasts until it is closed or the visitor leaves, and
// the time for the answer is over with the 101. After the visitor has left, what he sent can be read, and then [io.EOF].
// The request's context ends when the handler returns, or soon after the visitor left and nobody read. Shutdown
// waits for such connections, and Close cuts them.
//
// # Ending
//
// [Session.Shutdown] drains: running handlers answer, the rest moves on to other sessions of the claim.
// [Session.Close] ends at once. Both leave the claim to its lease; [Session.Delete] gives the label up.
//
// # Delivery
//
// A request is begun at most once by a session, also when the gateway delivers it again because it cannot know. Whether
// one that was lost with its session may go to another is the claim's to say: [Options].Redeliver.
//
// The protocol is schema/README.md, for those who want to do without this package.
package reversehttp
