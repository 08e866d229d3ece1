package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
)

// The exit codes. --help and README.md list them.
const (
	exitDone        = 0 // ended by a signal, with everything answered
	exitFailed      = 1 // any failure without a code of its own
	exitUsage       = 2 // the arguments are wrong
	exitRefused     = 3 // the label is taken, or the token or key is wrong
	exitUnreachable = 4 // no gateway was reached, or it accepts no claims now
	exitEnded       = 5 // the claim ended while it was served
	exitCut         = 6 // exchanges were cut by a second signal, or because the time to drain was over
)

const exitHelp = `Exit codes: 0 ended by SIGINT or SIGTERM, and what ran was answered; 1 another error; 2 wrong arguments; ` +
	`3 label taken, or token or key wrong, or no redirect in time; 4 gateway not reachable; 5 claim ended; 6 exchanges cut by a second signal or by --drain, or no redirect before a signal.`

// failure is an error with an exit code.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// concluded prints the error of a command that does not serve, and returns the exit code.
func concluded(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	var failed *failure
	if !errors.As(err, &failed) {
		failed = &failure{exitFailed, err}
	}
	fmt.Fprintf(stderr, "reversehttp: %s\n", failed)
	return failed.code
}

// refused converts an error of Claim to a failure that says what to do.
func refused(gateway, label string, err error) *failure {
	var e *reversehttp.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, reversehttp.ErrLabelTaken):
		return &failure{exitRefused, fmt.Errorf("the label %q is taken, and not with this token; choose another --label, or give the token that owns it in REVERSEHTTP_TOKEN (a label whose program was killed is free when its lease is over)", label)}
	case errors.As(err, &e) && e.Code == schema.CodeTakenDown:
		return &failure{exitRefused, fmt.Errorf("the operator of the gateway at %s took the label %q down; choose another --label, or ask them", gateway, label)}
	case errors.As(err, &e) && e.Code == schema.CodeLabelReserved && strings.Contains(e.Detail, "looks like"):
		return &failure{exitRefused, fmt.Errorf("the gateway at %s refuses the label %q: %s", gateway, label, printable(e.Detail))}
	case errors.Is(err, reversehttp.ErrLabelReserved):
		return &failure{exitRefused, fmt.Errorf("the gateway at %s keeps the label %q for itself, or for one whose token you do not give; choose another --label, or give that token in REVERSEHTTP_TOKEN", gateway, label)}
	case errors.Is(err, reversehttp.ErrKeyNeeded):
		return &failure{exitRefused, fmt.Errorf("the gateway at %s lends labels to holders of a key only; give yours in REVERSEHTTP_KEY", gateway)}
	case errors.Is(err, reversehttp.ErrKeyWrong):
		return &failure{exitRefused, fmt.Errorf("the gateway at %s does not know this key; check REVERSEHTTP_KEY", gateway)}
	case errors.As(err, &e) && (e.Status == 429 || e.Status == 503):
		when := "later"
		if e.RetryAfter > 0 {
			when = "in " + e.RetryAfter.String()
		}
		return &failure{exitUnreachable, fmt.Errorf("the gateway at %s accepts no claims now: %s; try again %s", gateway, printable(e.Error()), when)}
	case errors.As(err, &e) && e.Code == schema.CodeBadToken:
		return &failure{exitUsage, fmt.Errorf("the gateway at %s refuses the token: %s; check REVERSEHTTP_TOKEN", gateway, printable(e.Detail))}
	case errors.As(err, &e) && (e.Code == schema.CodeBadLabel || e.Code == schema.CodeBadLease || e.Code == schema.CodeBadMember):
		return &failure{exitUsage, errors.New(printable(e.Error()))}
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return &failure{exitUnreachable, fmt.Errorf("the certificate of the gateway at %s is signed by no CA that this machine trusts; set its CA, or the certificate itself, with --ca FILE or REVERSEHTTP_CA", gateway)}
	case errors.As(err, &certificate):
		return &failure{exitUnreachable, fmt.Errorf("the certificate of the gateway at %s is not valid for it: %s", gateway, printable(certificate.Err.Error()))}
	case errors.As(err, &e):
		return &failure{exitUnreachable, fmt.Errorf("no ReverseHttp gateway answers at %s (%s); is --gateway right?", gateway, printable(e.Error()))}
	}
	return &failure{exitUnreachable, fmt.Errorf("the gateway at %s cannot be reached: %s; name another with --gateway or REVERSEHTTP_GATEWAY, or start one here with: reversehttp gateway", gateway, cause(err))}
}

// ended converts an error of Serve to a failure.
func ended(err error) *failure {
	var e *reversehttp.Error
	switch {
	case errors.As(err, &e) && e.Code == schema.CodeTakenDown:
		return &failure{exitEnded, errors.New("the claim ended: the operator of the gateway took the label down")}
	case errors.Is(err, reversehttp.ErrClaimDeleted):
		return &failure{exitEnded, errors.New("the claim ended: an owner of it deleted it")}
	case errors.Is(err, reversehttp.ErrTokenWrong):
		return &failure{exitEnded, errors.New("the claim ended: its token was changed")}
	case errors.Is(err, reversehttp.ErrLabelTaken):
		return &failure{exitEnded, errors.New("the claim ended: somebody else has the label now; choose another --label")}
	}
	return &failure{exitEnded, fmt.Errorf("the claim ended: %s", printable(err.Error()))}
}

// cause returns, in a few words, why a connection failed.
func cause(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, reversehttp.ErrClosed):
		return "cut: ended by a second signal, or when --drain was over"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &dns):
		return "there is no host " + printable(dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it does not answer in time"
	}
	return printable(err.Error())
}
