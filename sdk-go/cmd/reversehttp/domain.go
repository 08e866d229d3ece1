package main

import (
	"fmt"
	"io"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// domainLine says, for people, whether a domain leads to a label, and what to set if it does not.
func domainLine(name string, d reversehttp.Domain) string {
	switch {
	case d.URL != "":
		return printable(d.URL) + " leads here too"
	case d.Record == "":
		return fmt.Sprintf("%s does not lead here: %s", printable(name), printable(d.Problem))
	}
	return fmt.Sprintf("%s leads here once DNS has, for that name, a CNAME to the host above, and\n%s TXT \"%s\"", printable(name), printable(d.Record), printable(d.Value))
}

func (v *jsonView) domain(name string, d reversehttp.Domain) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.print(struct {
		event
		Domain string `json:"domain"`
		URL    string `json:"url,omitempty"`
		Record string `json:"record,omitempty"`
		Value  string `json:"value,omitempty"`
		Detail string `json:"detail,omitempty"`
	}{happened("domain", time.Now()), name, d.URL, d.Record, d.Value, d.Problem})
}

func (p *pages) domain(name string, d reversehttp.Domain) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "-- %s\n\n", domainLine(name, d))
}

// domain prints the line above the table, where it is not cut.
func (t *table) domain(name string, d reversehttp.Domain) {
	_, _ = io.WriteString(t, domainLine(name, d)+"\n")
}
