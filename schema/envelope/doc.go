// Package envelope encodes and decodes the messages between gateways and programs: requests and cancellations one way,
// responses, parts, interim responses and aborts the other. schema/README.md is the text that it keeps.
//
// Encoding appends to a slice, or returns one of the exact length. Decoding is strict for a gateway ([DecodeAnswers]), which
// reads what strangers write, and tolerant for a program ([DecodeBatch], [DecodeMessage]), which reads what its gateway
// writes.
//
// Fields, targets and URLs are bytes on the wire of HTTP and strings of characters in JSON, each standing for the byte of the
// same number: see [Characters] and [Bytes]. Content is bytes: text in the member body where it is valid UTF-8, base64 in
// bodyBase64 otherwise.
package envelope
