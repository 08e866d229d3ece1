package gateway

import (
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"reversehttp/server/policy"
)

func TestMain(m *testing.M) {
	policy.Cost = bcrypt.MinCost
	goleak.VerifyTestMain(m)
}
