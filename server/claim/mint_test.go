package claim

import (
	"hash/crc32"
	"math/big"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// scanner is a program that finds tokens in text and verifies them offline, as the READMEs describe.
type scanner struct{ form *regexp.Regexp }

// newScanner uses the expression in both READMEs.
func newScanner(t *testing.T) scanner {
	t.Helper()
	form := regexp.MustCompile(`\\brh\[[^\]]*\]_\[[^\]]*\]\{\d+\}\\b`)
	found := map[string]bool{}
	for _, name := range []string{"../README.md", "../../schema/README.md"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range form.FindAllString(string(content), -1) {
			found[one] = true
		}
	}
	if len(found) != 1 {
		t.Fatalf("the READMEs have the expressions %v, want one", found)
	}
	for one := range found {
		form = regexp.MustCompile(one)
	}
	return scanner{form}
}

// find returns the minted tokens in a text.
func (s scanner) find(text string) (tokens []string) {
	for _, found := range s.form.FindAllString(text, -1) {
		random, check := found[4:34], found[34:]
		// The digits of math/big are 0-9a-zA-Z.
		turned := strings.Map(func(c rune) rune {
			if unicode.IsUpper(c) {
				return unicode.ToLower(c)
			}
			return unicode.ToUpper(c)
		}, check)
		n, ok := new(big.Int).SetString(turned, 62)
		if ok && n.IsUint64() && n.Uint64() == uint64(crc32.ChecksumIEEE([]byte(random))) {
			tokens = append(tokens, found)
		}
	}
	return tokens
}

func TestAScannerFindsMintedTokensOffline(t *testing.T) {
	s := newScanner(t)
	seen := map[string]bool{}
	for range 1000 {
		for _, kind := range []Kind{OwnerToken, ViewerToken, AccountKey} {
			token := MintToken(kind)
			found := s.find(`curl --oauth2-bearer "` + token + `" https://gateway.example/`)
			if len(found) != 1 || found[0] != token || KindOf(token) != kind || !ValidToken(token) || seen[token] {
				t.Fatalf("%s: found %v, kind %q", token, found, KindOf(token))
			}
			seen[token] = true
		}
	}
	registry := New(Options{})
	defer registry.Close()
	o, err := registry.Open(netip.Addr{}, "demo", "", Settings{})
	if err != nil || KindOf(o.Token) != OwnerToken {
		t.Errorf("a new claim has the token %q (%v), want one that is minted", o.Token, err)
	}
}

func TestTheExampleOfTheProtocolIsAMintedToken(t *testing.T) {
	content, err := os.ReadFile("../../schema/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if found := newScanner(t).find(string(content)); len(found) != 1 || KindOf(found[0]) != OwnerToken {
		t.Errorf("the text has the tokens %v, want one of an owner", found)
	}
}

// The example is from GitHub's description of its format; it is worthless.
func TestTheChecksumIsTheSameAsGitHubs(t *testing.T) {
	if got := checksum("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"); got != "0mLq17" {
		t.Errorf("checksum = %s, want 0mLq17", got)
	}
}

func TestACutOrMistypedTokenIsNotAMintedOne(t *testing.T) {
	s, good := newScanner(t), MintToken(OwnerToken)
	other := byte('0')
	if good[10] == other {
		other = '1'
	}
	for name, token := range map[string]string{
		"cut": good[:len(good)-1], "longer": good + "0", "mistyped": good[:10] + string(other) + good[11:], "another prefix": "ght_" + good[4:],
		"no digits": "rht_" + strings.Repeat("-", 30) + checksum(strings.Repeat("-", 30)), "empty": "", "prefix": "rht_",
	} {
		if KindOf(token) != "" || len(s.find(token)) > 0 {
			t.Errorf("%s: %q counts as a minted token", name, token)
		}
	}
}

func TestAllDigitsAreEquallyLikely(t *testing.T) {
	const tokens = 20_000
	count := map[rune]int{}
	for range tokens {
		for _, c := range MintToken(OwnerToken)[4:34] {
			count[c]++
		}
	}
	// With bytes modulo 62 the first eight would be a quarter more likely; here chance allows a fortieth,
	// five times its deviation.
	mean := tokens * randomDigits / len(digits62)
	for _, c := range digits62 {
		if d := count[c] - mean; d > mean/14 || d < -mean/14 {
			t.Errorf("%q is there %d times, want about %d", c, count[c], mean)
		}
	}
}
