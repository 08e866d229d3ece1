package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
)

func TestARefusalSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  reversehttp.Error
		code int
		says string
	}{
		{reversehttp.Error{Status: 429, Code: schema.CodeRateLimited, Detail: "too many", RetryAfter: 42 * time.Second}, exitUnreachable, "rate_limited: too many; try again in 42s"},
		{reversehttp.Error{Status: 503, Code: schema.CodeUnavailable}, exitUnreachable, "try again later"},
		{reversehttp.Error{Status: 451, Code: schema.CodeTakenDown}, exitRefused, "choose another --label, or ask them"},
		{reversehttp.Error{Status: 403, Code: schema.CodeLabelReserved, Detail: "Strangers cannot claim a label at this gateway that looks like \"paypal\"."}, exitRefused, `looks like "paypal".`},
		{reversehttp.Error{Status: 403, Code: schema.CodeLabelReserved}, exitRefused, "give that token in REVERSEHTTP_TOKEN"},
		{reversehttp.Error{Status: 400, Code: schema.CodeBadToken, Detail: "too short"}, exitUsage, "too short; check REVERSEHTTP_TOKEN"},
	} {
		got := refused("http://gateway.example", "demo", fmt.Errorf("claim: %w", &c.err))
		if got.code != c.code || !strings.HasSuffix(got.Error(), c.says) || !strings.Contains(got.Error(), "http://gateway.example") {
			t.Errorf("%v: exit code %d, %q; want %d, %q", &c.err, got.code, got, c.code, c.says)
		}
	}
}

func TestTheEndOfAClaimIsReported(t *testing.T) {
	if got := ended(fmt.Errorf("serve: %w", &reversehttp.Error{Status: 451, Code: schema.CodeTakenDown})); got.code != exitEnded || !strings.Contains(got.Error(), "took the label down") {
		t.Errorf("exit code %d, %q", got.code, got)
	}
}
