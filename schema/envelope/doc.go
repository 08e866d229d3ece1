// Package envelope encodes and decodes the messages between gateways and programs: requests and
// cancellations in one direction; responses, parts, interim responses and aborts in the other. It
// implements schema/README.md.
//
// Encoding appends to a slice, or returns one of the exact length. Decoding is strict for gateways
// ([DecodeAnswers]), which read messages of strangers, and tolerant for programs ([DecodeBatch],
// [DecodeMessage]), which read messages of their gateway.
//
// Fields, targets and URLs are bytes in HTTP and strings in JSON, where each character stands for
// the byte of the same number: see [Characters] and [Bytes]. Content is bytes: text in the member
// body if it is valid UTF-8, otherwise base64 in bodyBase64.
package envelope
