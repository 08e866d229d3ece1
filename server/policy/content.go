package policy

import (
	"strconv"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

func checkContent(ask *schema.Policy, _ *Policy) error {
	if c := ask.Content; c != nil && c.MaxBytes < 0 {
		return fault("content/maxBytes", "maxBytes is a whole number, 0 or more.")
	}
	return nil
}

// contentStep bounds the content. Content without a stated length is cut at the bound.
func contentStep(p *Policy) step {
	most := int64(p.Content.MaxBytes)
	return func(a *asked) *problem.Problem {
		for _, stated := range values(a.head, "Content-Length") {
			if n, err := strconv.ParseInt(stated, 10, 64); err != nil || n > most {
				return &problem.Problem{Code: schema.CodeContentTooLarge, Detail: "The content is larger than the owner of this URL takes."}
			}
		}
		a.verdict.Most = &most
		return nil
	}
}
