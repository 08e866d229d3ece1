// Package reversehttp serves HTTP from a program that can only make HTTP requests.
//
// A gateway lends URL space. A program claims a label there, gets a public URL, and answers what visitors send to it with
// any [http.Handler]. Nothing listens and no port is opened: the program polls the gateway for requests and posts its
// answers.
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
// is no URL, such as /%zz, stands undecoded in URL.Path and URL.Opaque. Content is exact, header values are the bytes
// that the visitor sent, ContentLength is always known, and TLS is nil. [RequestInfo] has what a request has no place for.
//
// The request's context ends when the visitor leaves, when the time for the answer is over, when the handler returns,
// and when the session is closed.
//
// What a handler writes is held in memory and goes out when it returns, as one answer of limited size: about three
// quarters of limits.answerBytes of the gateway, 12 MiB as a rule. The rules of a net/http server hold otherwise (guessed
// Content-Type, superfluous WriteHeader, content with HEAD and 204, declared Content-Length). These differ:
//
//   - [http.Flusher] and [http.ResponseController] work, but a flush settles the header only, and nothing is hijacked.
//   - Informational responses (1xx) and trailers go nowhere.
//   - 205 takes no content, and 304 may tell a Content-Length (RFC 9110, 15.3.6 and 8.6).
//   - A panic answers 500, whatever was written. [http.ErrAbortHandler] gives the exchange up: the visitor gets 502.
//   - An answer that cannot be sent (a status above 599, a Content-Length that was not kept, too much content) becomes
//     500. Where net/http would have torn the connection, the logger is told.
//   - A Location that begins with a slash leaves the claim where its URL has a path. Relative ones, as
//     [http.FileServer] gives them, and ones built on [Info].Base stay.
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
