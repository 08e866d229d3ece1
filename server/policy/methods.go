package policy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

const mostMethods = 32

func checkMethods(ask *schema.Policy, p *Policy) error {
	if ask.Methods == nil {
		return nil
	}
	if err := count("methods", *ask.Methods, mostMethods); err != nil {
		return err
	}
	for i, m := range *ask.Methods {
		if !httpguts.ValidHeaderFieldName(m) || len(m) > mostName { // both are tokens
			return fault(fmt.Sprintf("methods/%d", i), "A method is a token of at most %d characters, such as GET (RFC 9110, 9.1).", mostName)
		}
	}
	p.Methods = *ask.Methods
	return nil
}

// methodStep lets in requests with a listed method, and preflights that ask for one.
func methodStep(p *Policy) step {
	allow := strings.Join(p.Methods, ", ")
	return func(a *asked) *problem.Problem {
		if slices.Contains(p.Methods, a.head.Method) || a.preflight != "" && slices.Contains(p.Methods, a.preflight) {
			return nil
		}
		return &problem.Problem{Code: schema.CodeMethodRefused, Fields: []claim.Field{{Name: "Allow", Value: allow}}}
	}
}

// preflightOf returns the method that a CORS preflight asks for; empty if the request is not a preflight.
func preflightOf(head *claim.Request) string {
	if head.Method != http.MethodOptions || len(values(head, "Origin")) != 1 {
		return ""
	}
	if asks := values(head, "Access-Control-Request-Method"); len(asks) == 1 && httpguts.ValidHeaderFieldName(asks[0]) {
		return asks[0]
	}
	return ""
}

// preflightAge is for how long a browser may remember a preflight, in seconds.
const preflightAge = "60"

// answerPreflight answers a preflight in place of the program: it carries no credentials, so it could not pass.
// The answer lets a page of any origin send its request, without the credentials that a browser keeps. That
// request is judged when it comes, and has only credentials that the page knows.
func answerPreflight(a *asked) *claim.Answer {
	fields := []claim.Field{
		{Name: "Access-Control-Allow-Origin", Value: "*"}, {Name: "Access-Control-Allow-Methods", Value: a.preflight},
		{Name: "Access-Control-Max-Age", Value: preflightAge}, {Name: "Cache-Control", Value: "no-store"},
		{Name: "Vary", Value: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
	}
	if names := values(a.head, "Access-Control-Request-Headers"); len(names) > 0 {
		fields = append(fields, claim.Field{Name: "Access-Control-Allow-Headers", Value: strings.Join(names, ", ")})
	}
	return &claim.Answer{Status: http.StatusNoContent, Fields: fields}
}
