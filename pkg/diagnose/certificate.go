package diagnose

import (
	"slices"
	"strings"
	"time"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
)

const signAnew = identity.SignAnew

// critical are the critical options that OpenSSH knows; it refuses a certificate
// that has another, of which unknownCritical speaks (PROTOCOL.certkeys).
var critical = []string{"force-command", "source-address", "verify-required"}

const unknownCritical = "the certificate %s has the critical option %s, which OpenSSH does not support"

// Certificate judges a certificate by its own contents: its kind, and its
// validity at the time now.
func Certificate(key session.Key, cert sshkey.Certificate, now time.Time) (r record.Record, faulty bool) {
	if !cert.User {
		return failure("cert-refused", key.Public.Fingerprint(), signAnew, "seen: the certificate %s is a host certificate, which logs nobody in", key.Name), true
	}
	return identity.CertificateFault(key.Public, cert, key.Name, now)
}

// ends says when a certificate is over, if the key is one and that has an end.
func ends(key sshkey.Public) (when string, ok bool) {
	cert, certified, err := key.Certificate()
	if err != nil || !certified || cert.Before == sshkey.Forever {
		return "", false
	}
	return identity.CertificateDate(cert.Before), true
}

// NoCertificates covers a server that does not support certificates.
func NoCertificates(host *connect.Host, rep *session.Report) (record.Record, bool) {
	if !isDropbear(rep) {
		return record.Record{}, false
	}
	return failure("cert-refused", "", "install the keys themselves: "+host.AgainByPassword("pikeycopy", rep.Methods), "%s accepts no certificates", cut(rep.ServerVersion)), true
}

// certificate is the case of a refused certificate that says itself why.
func certificate(host *connect.Host, asked []session.Offer, now time.Time) (record.Record, bool) {
	for _, o := range asked {
		cert, certified, err := o.Key.Public.Certificate()
		if err != nil || !certified {
			continue
		}
		if r, faulty := Certificate(o.Key, cert, now); faulty {
			return r, true
		}
		if i := slices.IndexFunc(cert.Critical, func(c sshkey.CertOption) bool { return !slices.Contains(critical, c.Name) }); i >= 0 {
			return failure("cert-refused", o.Key.Public.Fingerprint(), signAnew, "likely: "+unknownCritical+"; unless the server there knows it", o.Key.Name, cert.Critical[i].Name), true
		}
		if len(cert.Principals) > 0 && !slices.Contains(cert.Principals, host.Config.User) {
			return failure("cert-principal", o.Key.Public.Fingerprint(), signAnew,
				"likely: the certificate %s is for %s, and we log in as %s; unless principals= or AuthorizedPrincipalsFile there says otherwise",
				o.Key.Name, strings.Join(cert.Principals, ", "), host.Config.User), true
		}
	}
	return record.Record{}, false
}
