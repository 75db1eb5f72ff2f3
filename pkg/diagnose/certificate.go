package diagnose

import (
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
)

// certificate is the case of a refused certificate that says itself why: by
// its validity or its principals (PROTOCOL.certkeys).
func certificate(host *connect.Host, asked []session.Offer, now time.Time) (record.Record, bool) {
	for _, o := range asked {
		public, err := ssh.ParsePublicKey(o.Key.Public.Blob)
		cert, ok := public.(*ssh.Certificate)
		if err != nil || !ok {
			continue
		}
		const anew = "have it signed anew: ssh-keygen -s CA -I ID -n USER -V +52w KEY.pub"
		fp := o.Key.Public.Fingerprint()
		unix := uint64(max(now.Unix(), 0))
		switch {
		case unix >= cert.ValidBefore && cert.ValidBefore != ssh.CertTimeInfinity:
			return failure("cert-expired", fp, anew, "seen: the certificate %s expired on %s", o.Key.Name, date(cert.ValidBefore)), true
		case unix < cert.ValidAfter:
			return failure("cert-not-yet", fp, "is the clock of this machine right? see date(1); or "+anew,
				"seen: by the clock of this machine the certificate %s is valid from %s", o.Key.Name, date(cert.ValidAfter)), true
		case len(cert.ValidPrincipals) > 0 && !slices.Contains(cert.ValidPrincipals, host.Config.User):
			return failure("cert-principal", fp, anew, "likely: the certificate %s is for %s, and we log in as %s; unless principals= or AuthorizedPrincipalsFile there says otherwise",
				o.Key.Name, strings.Join(cert.ValidPrincipals, ", "), host.Config.User), true
		}
	}
	return record.Record{}, false
}

func date(seconds uint64) string {
	return time.Unix(int64(min(seconds, math.MaxInt64)), 0).UTC().Format(time.DateTime) + " UTC"
}
