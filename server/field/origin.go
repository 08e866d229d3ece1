package field

import "strings"

// wholeOrigin are fields of a response that act on more than its own URL. In
// the path shape, where claims share an origin, they are dropped.
var wholeOrigin = union(beyondClaim, names(
	"Set-Cookie", "Set-Login", "Clear-Site-Data", "Strict-Transport-Security", "Service-Worker-Allowed", "Origin-Agent-Cluster", "Refresh",
	"Accept-Ch", "Critical-Ch", "Use-As-Dictionary", "Www-Authenticate", "Secure-Session-Registration", "Secure-Session-Challenge",
	"Sec-Shared-Storage-Write", "Shared-Storage-Write",
))

// beyondClaim are fields of a response that may act on other hosts or outlive the claim: they say where later requests go, which keys
// and certificates are valid, and where browsers send reports. They end at the gateway in both shapes.
var beyondClaim = names("Alt-Svc", "Nel", "Report-To", "Reporting-Endpoints", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Expect-Ct")

// Sandbox is the policy of every relayed response in the path shape.
const Sandbox = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"

// OfOrigin reports whether a field of an answer acts on more than its own URL.
func OfOrigin(name string) bool { return wholeOrigin[name] }

// Narrows reports whether [Narrowed] may change or drop a field.
func Narrows(name string) bool {
	return name == "Set-Cookie" || name == "Strict-Transport-Security" || name == "Clear-Site-Data"
}

// Narrowed returns the value of a field of an answer, reduced to what acts only on its own host. It does not keep a field of which
// nothing is left: a cookie that names another Domain, Strict-Transport-Security without a max-age, and Clear-Site-Data of cookies
// alone.
func Narrowed(name, value, host string) (narrowed string, kept bool) {
	switch name {
	case "Set-Cookie":
		return value, cookieStays(value, host)
	case "Strict-Transport-Security":
		return ownTransport(value)
	case "Clear-Site-Data":
		return ownData(value)
	}
	return value, true
}

// cookieStays reports whether a cookie is for a host alone, as browsers read it (RFC 6265, 5.2). Of several Domains the last one counts
// in browsers, which differ on empty ones; here none may name another host.
func cookieStays(cookie, host string) bool {
	_, attributes, _ := strings.Cut(cookie, ";")
	for attribute := range strings.SplitSeq(attributes, ";") {
		name, value, _ := strings.Cut(attribute, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "Domain") {
			continue
		}
		domain := strings.TrimPrefix(strings.Trim(value, " \t"), ".")
		if domain != "" && !strings.EqualFold(domain, host) {
			return false
		}
	}
	return true
}

// ownData keeps the types of Clear-Site-Data that clear one origin. "cookies" would clear those of the whole registrable domain, with
// other claims and the gateway; "*" becomes all other known types.
func ownData(value string) (own string, kept bool) {
	var types []string
	for one := range strings.SplitSeq(value, ",") {
		switch one = strings.Trim(one, " \t"); one {
		case `"cookies"`:
		case `"*"`:
			types = append(types, `"cache"`, `"storage"`, `"executionContexts"`)
		default:
			types = append(types, one)
		}
	}
	return strings.Join(types, ", "), len(types) > 0
}

// ownTransport keeps only max-age of Strict-Transport-Security (RFC 6797, 6.1): includeSubDomains and preload act on subdomains, and
// what other directives may do is unknown.
func ownTransport(value string) (own string, kept bool) {
	var ages []string
	for directive := range strings.SplitSeq(value, ";") {
		directive = strings.Trim(directive, " \t")
		if name, _, _ := strings.Cut(directive, "="); strings.EqualFold(strings.Trim(name, " \t"), "max-age") {
			ages = append(ages, directive)
		}
	}
	return strings.Join(ages, "; "), len(ages) > 0
}
