package abuse

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Conn is an HTTP/2 connection with prior knowledge. Its client only sends requests and leaves the rest
// to the gateway.
type http2Conn struct {
	net.Conn
	// most is how many streams the gateway accepts at once.
	most int
	// ends counts how streams ended; it is shared.
	ends *tally

	writing sync.Mutex // guards framer's writes, encoder and block
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	sent    uint32 // streams

	ended  atomic.Uint32 // streams
	left   atomic.Bool   // this side ends the connection
	closed chan struct{} // closed when no more frames come
}

// dialHTTP2 opens a connection, and waits for the settings of the gateway. It returns nil if the gateway has
// no room for the connection.
func (s source) dialHTTP2(t *testing.T, g *gateway, ends *tally) *http2Conn {
	t.Helper()
	c := &http2Conn{Conn: s.dial(t, g), most: 1 << 10, ends: ends, closed: make(chan struct{})}
	c.framer, c.encoder = http2.NewFramer(c, c), hpack.NewEncoder(&c.block)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = io.WriteString(c, http2.ClientPreface) // if it is refused, the first frame shows that
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = c.framer.WriteWindowUpdate(0, 1<<30)
	f, err := c.framer.ReadFrame()
	settings, ok := f.(*http2.SettingsFrame)
	if err == nil && !ok {
		t.Fatalf("the first frame is %v; want SETTINGS", f)
	}
	if err != nil { // reset, or a 503 of HTTP/1.1
		_ = c.Close()
		return nil
	}
	if most, ok := settings.Value(http2.SettingMaxConcurrentStreams); ok {
		c.most = int(most)
	}
	if err := c.framer.WriteSettingsAck(); err != nil {
		t.Fatal(err)
	}
	go c.listen()
	return c
}

// get requests a path of a host, with additional fields, on its own stream. Values that differ between
// requests are kept out of the table of fields.
func (c *http2Conn) get(host, path string, fields ...hpack.HeaderField) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.block.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: host, Sensitive: true}, {Name: ":path", Value: path, Sensitive: true},
	}, fields...) {
		if err := c.encoder.WriteField(f); err != nil {
			return err
		}
	}
	c.sent++
	_ = c.SetWriteDeadline(time.Now().Add(givenUp))
	return c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 2*c.sent - 1, BlockFragment: c.block.Bytes(), EndStream: true, EndHeaders: true,
	})
}

// listen reads from the gateway, and counts how streams end, until either side ends the connection.
func (c *http2Conn) listen() {
	defer close(c.closed)
	type response struct {
		status  int
		content []byte
	}
	answering := map[uint32]*response{}
	end := func(id uint32, how string) {
		delete(answering, id)
		c.ended.Add(1)
		if !c.left.Load() {
			c.ends.add(how)
		}
	}
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			c.writing.Lock()
			sent := c.sent
			c.writing.Unlock()
			for ; c.ended.Load() < sent && !c.left.Load(); c.ended.Add(1) {
				c.ends.add("connection ended")
			}
			return
		}
		id := f.Header().StreamID
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.write(func() error { return c.framer.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.write(func() error { return c.framer.WritePing(true, f.Data) })
			}
		case *http2.RSTStreamFrame:
			end(id, "reset "+f.ErrCode.String())
		case *http2.MetaHeadersFrame:
			r := &response{}
			r.status, _ = strconv.Atoi(f.PseudoValue("status"))
			answering[id] = r
			if f.StreamEnded() {
				end(id, endOf(r.status, nil))
			}
		case *http2.DataFrame:
			if r := answering[id]; r != nil {
				r.content = append(r.content, f.Data()...)
				if f.StreamEnded() {
					end(id, endOf(r.status, r.content))
				}
			}
		}
	}
}

// full reports whether the gateway accepts no more streams.
func (c *http2Conn) full() bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	return int(c.sent-c.ended.Load()) >= c.most
}

func (c *http2Conn) write(frame func() error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = frame()
}

// leave ends the connection.
func (c *http2Conn) leave() {
	c.left.Store(true)
	_ = c.Close()
	<-c.closed
}
