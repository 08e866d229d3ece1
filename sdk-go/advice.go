package reversehttp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"

	"reversehttp/schema"
)

// advised adds what to do to an error of claiming. The gateway explains its refusals to programs in any language; this names the
// members of [Options].
func advised(gateway string, err error) error {
	var e *Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &e):
		return refusedWith(gateway, e, err)
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Errorf("the certificate of the gateway at %s is signed by nobody whom this machine trusts (%w); give what it is signed with in RootCAs of a NewTransport, and that in the Client of Options", gateway, err)
	case errors.As(err, new(x509.HostnameError)), errors.As(err, new(x509.CertificateInvalidError)):
		return fmt.Errorf("the certificate of the gateway at %s is not valid for it (%w)", gateway, err)
	case errors.As(err, &dns):
		return fmt.Errorf("there is no host %s (%w); is the URL of the gateway right?", dns.Name, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s (%w); is the URL right, and does the gateway run?", gateway, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the gateway at %s does not answer in time (%w)", gateway, err)
	}
	return err
}

// refusedWith adds what to do to a refusal e in err.
func refusedWith(gateway string, e *Error, err error) error {
	switch {
	case e.Code == codeUnexpected:
		return fmt.Errorf("no ReverseHttp gateway answers at %s (%w); is the URL right?", gateway, err)
	case e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable:
		if e.RetryAfter > 0 {
			return fmt.Errorf("%w %s", err, "Try again in "+e.RetryAfter.String()+".")
		}
	case advice[e.Code] != "":
		return fmt.Errorf("%w %s", err, advice[e.Code])
	}
	return err
}

// advice has what a program does about refusals. The details of the gateway before it are sentences.
var advice = map[schema.Code]string{
	schema.CodeLabelTaken:    "Set Options.Label to another one, or Options.Token to the token that owns it.",
	schema.CodeLabelReserved: "Set Options.Label to another one, or Options.Token to the token that it is reserved for.",
	schema.CodeKeyNeeded:     "Set Options.Key.",
	schema.CodeKeyWrong:      "Check Options.Key.",
	schema.CodeBadLabel:      "Check Options.Label.",
	schema.CodeBadToken:      "Check Options.Token.",
	schema.CodeBadLease:      "Check Options.Lease.",
}
