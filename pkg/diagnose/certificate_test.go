package diagnose

import (
	"strings"
	"testing"
	"time"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
)

// By the clock there a certificate may hold or not, whatever it is here.
func TestCertificateByFarClock(t *testing.T) {
	now := time.Now()
	valid := sshkey.Certificate{User: true, After: uint64(now.Add(-time.Hour).Unix()), Before: uint64(now.Add(time.Hour).Unix())}
	for name, c := range map[string]struct {
		utc               string
		cause, says, hint string
	}{
		"right":          {now.UTC().Format("20060102150405"), "", "", ""},
		"years ago":      {"20190101000000", "cert-not-yet", "the clock there says 2019-01-01 00:00:00 UTC, and the certificate key is valid from ", "timedatectl set-ntp true"},
		"hours too late": {now.UTC().Add(2 * time.Hour).Format("20060102150405"), "cert-expired", " expired on ", "pikeygen -s"},
		"not known":      {"", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := &inside{facts: facts{utc: c.utc}}
			in.certTime(refusedCert{valid, session.Key{Name: "key"}})
			if c.cause == "" {
				if len(in.seen) > 0 {
					t.Errorf("%+v", in.seen)
				}
				return
			}
			if len(in.seen) != 1 || in.seen[0].Cause != c.cause || !strings.Contains(in.seen[0].Detail, c.says) || !strings.Contains(in.seen[0].Hint, c.hint) {
				t.Errorf("%+v", in.seen)
			}
		})
	}
}
