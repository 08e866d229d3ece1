// Package peer carries HTTP requests from the node of a cluster that accepted them, their entry, to
// the node that keeps the claim they are for, its home. The home serves a request with the handler
// that it would have called had it accepted the request itself; the entry writes what the handler
// writes. So both nodes see exactly the request and the response of net/http, which no second HTTP
// client and server stand between.
//
// # Frames
//
// A request has a connection of two nodes to itself, so TCP is its flow control and closing the
// connection is its end. A connection is used for one request after another. Both sides send
// frames: a byte for the kind, four for the length of the payload, and the payload. A payload that is
// not content is a value of encoding/gob, which keeps the bytes of strings as they are, where JSON
// would replace those that are no UTF-8.
//
//	entry to home  hello     who the entry is, once, first
//	               ping      asks whether the home lives, in place of a request
//	               offer     the label of a claim that the entry asks this node to take from it
//	               request   the head of the request
//	               content   of the request, no more than the home asked for
//	               end       of the content, with its trailers
//	               broken    the content ended before it was whole
//	               noted     the entry knows what the note said
//	               taken     the entry has the head of the response, and takes no other; done says it too
//	               left      the sender of the request closed the connection, or only gave the request up
//	               parting   the entry is about to end, so a request that waits should be answered
//	               done      nothing more of the request follows
//	home to entry  hello     who the home is, once, first
//	               pong      it does
//	               took      the claim was taken, or why it was not
//	               moved     this node is not the home of the claim, or is it no longer; another may
//	                         be sent the request, with the last note
//	               want      how many more bytes of content the entry may send
//	               note      the request is about to be given to a program
//	               interim   an interim response
//	               head      of the response
//	               content   of the response
//	               flush     send what is buffered
//	               hijacked  from here on, content is the bytes of the connection in both directions
//	               shut      the home writes no more on the connection
//	               end       of the response, with its trailers
//	               aborted   the response has no clean end
package peer
