package process

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"

	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/gateway"
	"reversehttp/server/quota"
	"reversehttp/server/terms"
)

// wrong is an error in the flags: another start with the same flags would fail again. All other
// errors are about the machine.
type wrong struct{ error }

func (w wrong) Unwrap() error { return w.error }

// wrong marks an error as one in the flags, and adds the file if the flag is set there.
func (o *options) wrong(err error) error { return wrong{o.file.blame(err)} }

// contactForm matches --security-contact (RFC 9116, 2.5.3).
var contactForm = regexp.MustCompile(`^(mailto:[^\s@]+@[^\s@]+|https://[^\s/]\S*|tel:\+?[0-9-]+)$`)

// check returns an error if flags are invalid or contradict each other.
func (o *options) check() error {
	// A secret that is unset by mistake must not open the gateway to everyone.
	if set, given := os.LookupEnv("REVERSEHTTP_CLAIM_KEYS"); slices.Contains(o.ClaimKeys, "") || o.ClaimKeys != nil && len(o.ClaimKeys) == 0 || o.ClaimKeys == nil && given && set == "" {
		return errors.New("--claim-keys: a key is empty; set keys, or leave out the flag and REVERSEHTTP_CLAIM_KEYS to let everyone claim")
	}
	if err := o.readSecrets(); err != nil {
		return err
	}
	if err := checkListen(o.Listen); err != nil {
		return err
	}
	if (o.JWKS != "" || o.JWTIssuer != "" || o.JWTAudience != "") && (o.JWKS == "" || o.JWTIssuer == "" || o.JWTAudience == "") {
		return errors.New("--jwks, --jwt-issuer and --jwt-audience: set all three, so that only tokens for this gateway are accepted")
	}
	if o.ProxyProtocol && len(o.TrustedProxies) == 0 {
		return errors.New("--proxy-protocol: name the proxies that speak it with --trusted-proxies")
	}
	var err error
	if o.Listen, err = handedOver(o.Listen); err != nil {
		return err
	}
	for _, label := range o.Reserved {
		if !claim.ValidLabel(label) {
			return fmt.Errorf("--reserved=%s: not a valid label: use 1 to 63 lower case letters, digits and hyphens", label)
		}
	}
	if o.SecurityContact != "" && !contactForm.MatchString(o.SecurityContact) {
		return fmt.Errorf("--security-contact=%s: give mailto:security@example.com, or an https: URL", o.SecurityContact)
	}
	if o.AbuseLog != "" && !o.Public {
		return errors.New("--abuse-log: abuse is reported only with --public; set that as well")
	}
	if o.AdminKeyFile != "" && o.AdminListen == "" {
		return errors.New("--admin-key-file: set --admin-listen as well, the address whose calls show the key")
	}
	if err := o.checkTLS(); err != nil {
		return err
	}
	for flag, address := range map[string]string{"http-listen": o.HTTPListen, "resolver": o.Resolver} {
		if address != "" {
			if err := checkAddress(flag, address); err != nil {
				return err
			}
		}
	}
	if m := o.Memory; m != nil && *m < leastMemory {
		return fmt.Errorf("--memory=%s: the gateway needs at least 64MiB; leave it out for a quarter of the memory of the machine", strings.ReplaceAll(humanize.IBytes(uint64(*m)), " ", ""))
	}
	if n := o.MaxReleased; n != nil && *n == 0 {
		return errors.New("--max-released=0: give a number above 0, or a negative one for none")
	}
	if n := o.ClaimsPerAddress; n != nil && *n == 0 {
		return errors.New("--claims-per-address=0: give a number above 0, or a negative one for no bound")
	}
	return nil
}

// quotas parses the flags of quotas.
func (o *options) quotas() (q gateway.Quotas, err error) {
	for _, one := range []struct {
		flag  string
		pairs []string
		into  **quota.Limits
	}{{"--quota-address", o.QuotaAddress, &q.Address}, {"--quota-label", o.QuotaLabel, &q.Label}, {"--quota-account", o.QuotaAccount, &q.Account}} {
		if *one.into, err = quota.Parse(one.pairs); err != nil {
			return q, fmt.Errorf("%s=%s: %w", one.flag, strings.Join(one.pairs, ","), err)
		}
	}
	if q.Label != nil && q.Label[quota.Claims] > 0 {
		return q, fmt.Errorf("--quota-label=%s: a label has one claim; set claims with --quota-address or --quota-account", strings.Join(o.QuotaLabel, ","))
	}
	return q, nil
}

// openAccounts reads the files in --accounts and --jwks.
func (o *options) openAccounts(log *slog.Logger) (err error) {
	if o.Accounts == "" && o.JWKS == "" {
		return nil
	}
	if o.accounts, err = account.Open(o.Accounts, terms.ReadPolicy, log); err != nil {
		return o.wrong(fmt.Errorf("--accounts=%s: %w; reversehttp admin key new makes one", o.Accounts, err))
	}
	if o.JWKS == "" {
		return nil
	}
	if err := o.accounts.Trust(o.JWKS, o.JWTIssuer, o.JWTAudience); err != nil {
		return o.wrong(fmt.Errorf("--jwks=%s: %w; give a JWKS with public keys", o.JWKS, err))
	}
	return nil
}

// checkBounds returns an error for an invalid value, by the type of its flag and its tags: a number
// must be at least 1, a rate must not be 0, and a duration must be between the tags "from" and
// "to", in whole units of "unit".
func checkBounds(f *kong.Flag) error {
	value := f.Target
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return nil
		}
		value = value.Elem()
	}
	switch v := value.Interface().(type) {
	case int:
		if v < 1 && f.Tag.Get("negative") == "" {
			return fmt.Errorf("--%s=%d: give a number above 0", f.Name, v)
		}
	case float64:
		if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("--%s=%v: give a number above 0, or a negative one for no bound", f.Name, v)
		}
	case time.Duration:
		from, to, unit := timeOf(f, "from", time.Millisecond), timeOf(f, "to", 365*24*time.Hour), timeOf(f, "unit", 1)
		if v < from || v > to {
			return fmt.Errorf("--%s=%s: give a time from %s to %s", f.Name, v, from, to)
		}
		if v%unit != 0 {
			return fmt.Errorf("--%s=%s: use whole seconds", f.Name, v)
		}
	}
	return nil
}

// timeOf returns the duration in a tag of a flag, or other if there is no such tag.
func timeOf(f *kong.Flag, tag string, other time.Duration) time.Duration {
	if d, err := time.ParseDuration(f.Tag.Get(tag)); err == nil {
		return d
	}
	return other
}

// checkListen returns an error if address is not valid on any machine.
func checkListen(address string) error {
	if _, named, err := descriptorOf(address); named {
		return err
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if err == nil && port != "" && !strings.ContainsAny(host, "/ ") {
		return nil
	}
	like := "8080"
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		like = address // only a port
	}
	return fmt.Errorf("--listen=%s: give HOST:PORT, such as 127.0.0.1:%s, or :%s for all addresses of this machine; ports are 1 to 65535, and 0 for any that is free", address, like, like)
}
