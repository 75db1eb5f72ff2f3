package diagnose

import (
	"math"
	"slices"
	"strings"
	"time"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// signAnew is the way on from a certificate that is of no use.
const signAnew = "have it signed anew: pikeygen -s CA -I ID -n USER -V +52w KEY"

// Certificate judges a certificate by what it says itself: its kind, and by the
// clock of this machine its validity (PROTOCOL.certkeys).
func Certificate(key session.Key, cert sshkey.Certificate, now time.Time) (r record.Record, faulty bool) {
	fp, unix := key.Public.Fingerprint(), uint64(max(now.Unix(), 0))
	switch {
	case !cert.User:
		return failure("cert-refused", fp, signAnew, "seen: the certificate %s is that of a host, and logs nobody in", key.Name), true
	case unix >= cert.Before && cert.Before != sshkey.Forever:
		return failure("cert-expired", fp, signAnew, "seen: the certificate %s expired on %s", key.Name, date(cert.Before)), true
	case unix < cert.After:
		return failure("cert-not-yet", fp, "is the clock of this machine right? see date(1); or "+signAnew,
			"seen: by the clock of this machine the certificate %s is valid from %s", key.Name, date(cert.After)), true
	}
	return record.Record{}, false
}

// NoCertificates is the case of a server that knows none.
func NoCertificates(host *connect.Host, rep *session.Report) (record.Record, bool) {
	if !strictmodes.ServerOf(rep.ServerVersion).IsDropbear() {
		return record.Record{}, false
	}
	return failure("cert-refused", "", "install the keys themselves: "+host.Again("pikeycopy"), "%s takes no certificates", cut(rep.ServerVersion)), true
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
		if len(cert.Principals) > 0 && !slices.Contains(cert.Principals, host.Config.User) {
			return failure("cert-principal", o.Key.Public.Fingerprint(), signAnew,
				"likely: the certificate %s is for %s, and we log in as %s; unless principals= or AuthorizedPrincipalsFile there says otherwise",
				o.Key.Name, strings.Join(cert.Principals, ", "), host.Config.User), true
		}
	}
	return record.Record{}, false
}

func date(seconds uint64) string {
	return time.Unix(int64(min(seconds, math.MaxInt64)), 0).UTC().Format(time.DateTime) + " UTC"
}
