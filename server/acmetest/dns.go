package acmetest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Key is the key for updates of a [DNS], as tsig-keygen writes it.
const Key = `key "gateway" {
	algorithm hmac-sha256;
	secret "c2VjcmV0LW9mLWEtdGVzdC1pbi1iYXNlNjQtMTIzNDU=";
};
`

// DNS is a DNS server for every zone that runs until a test ends. All names resolve to this
// machine, and have the TXT records that were set.
type DNS struct {
	// Address is where it listens, by UDP and TCP.
	Address string

	mu     sync.Mutex          // guards below
	texts  map[string][]string // by name, with a final dot
	asked  map[string]int      // number of TXT queries, by name
	silent bool
}

// NewDNS starts a server.
func NewDNS(t testing.TB) *DNS {
	t.Helper()
	d := &DNS{texts: make(map[string][]string), asked: make(map[string]int)}
	var packets net.PacketConn
	var l net.Listener
	for range 10 { // UDP and TCP need the same port
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if packets, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			break
		}
		_ = l.Close()
	}
	if packets == nil {
		t.Fatal("no port for DNS")
	}
	d.Address = l.Addr().String()
	secrets := map[string]string{"gateway.": "c2VjcmV0LW9mLWEtdGVzdC1pbi1iYXNlNjQtMTIzNDU="}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	for _, s := range []*dns.Server{{Listener: l}, {PacketConn: packets}} {
		s.Handler, s.TsigSecret = dns.HandlerFunc(d.answer), secrets
		s.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept } // also updates
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		running.Go(func() { _ = s.ActivateAndServe() })
		<-ready
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return d
}

// SetText sets the TXT records of a name; no texts removes them.
func (d *DNS) SetText(name string, texts ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.texts[dns.Fqdn(name)] = texts
}

// Texts returns the TXT records of a name.
func (d *DNS) Texts(name string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.texts[dns.Fqdn(name)])
}

// Asked returns the number of TXT queries for a name.
func (d *DNS) Asked(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[dns.Fqdn(name)]
}

// Silence sets whether the server stops answering.
func (d *DNS) Silence(silent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent = silent
}

func (d *DNS) answer(w dns.ResponseWriter, q *dns.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.silent {
		return
	}
	a := new(dns.Msg)
	a.SetReply(q)
	a.Authoritative, a.RecursionAvailable = true, true
	switch {
	case q.Opcode == dns.OpcodeUpdate:
		if q.IsTsig() == nil || w.TsigStatus() != nil {
			a.Rcode = dns.RcodeRefused
			break
		}
		a.SetTsig("gateway.", dns.HmacSHA256, 300, int64(q.IsTsig().TimeSigned))
		for _, r := range q.Ns {
			d.update(r)
		}
	case len(q.Question) == 1:
		d.records(q.Question[0], a)
	}
	_ = w.WriteMsg(a)
}

// update applies an update of a record. The caller holds d.mu.
func (d *DNS) update(r dns.RR) {
	text, ok := r.(*dns.TXT)
	if !ok {
		return
	}
	name := text.Hdr.Name
	d.texts[name] = slices.DeleteFunc(slices.Clone(d.texts[name]), func(t string) bool { return t == strings.Join(text.Txt, "") })
	if text.Hdr.Class == dns.ClassINET {
		d.texts[name] = append(d.texts[name], strings.Join(text.Txt, ""))
	}
}

// records answers a question. The caller holds d.mu.
func (d *DNS) records(q dns.Question, a *dns.Msg) {
	head := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: q.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: 1}
	}
	name := strings.ToLower(q.Name)
	switch q.Qtype {
	case dns.TypeA:
		a.Answer = append(a.Answer, &dns.A{Hdr: head(dns.TypeA), A: net.IPv4(127, 0, 0, 1)})
	case dns.TypeTXT:
		d.asked[name]++
		for _, text := range d.texts[name] {
			a.Answer = append(a.Answer, &dns.TXT{Hdr: head(dns.TypeTXT), Txt: []string{text}})
		}
	case dns.TypeSOA:
		if dns.CountLabel(q.Name) == 2 { // zones have two labels
			a.Answer = append(a.Answer, &dns.SOA{Hdr: head(dns.TypeSOA), Ns: "ns." + q.Name, Mbox: "operator." + q.Name, Serial: 1, Minttl: 1})
		}
	}
}
