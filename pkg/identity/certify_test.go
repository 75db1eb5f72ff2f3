package identity

import (
	"testing"
	"time"

	"pi-key-tools/pkg/sshkey"
)

// In a zone that is not UTC, and at a fixed moment; what ssh-keygen makes of the
// same is tried with pikeygen.
func TestValidity(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	now := time.Date(2026, 11, 22, 9, 24, 31, 0, zone)
	at := func(s string) uint64 {
		u, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return uint64(u.Unix())
	}
	for _, c := range []struct {
		interval      string
		after, before uint64
	}{
		{"+1d", at("2026-11-22 07:23:00"), at("2026-11-23 07:24:31")},
		{"-1w:+1h30m", at("2026-11-15 07:24:31"), at("2026-11-22 08:54:31")},
		{"20260701:20270101120000", at("2026-06-30 22:00:00"), at("2027-01-01 10:00:00")},
		{"20260701Z:202701011200UTC", at("2026-07-01 00:00:00"), at("2027-01-01 12:00:00")},
		{"always:forever", 0, sshkey.Forever},
		{"0xff:0xFF0", 255, 4080},
	} {
		after, before, err := validity(c.interval, now)
		if err != nil || after != c.after || before != c.before {
			t.Errorf("%s: from %d to %d, %v; want %d, %d", c.interval, after, before, err, c.after, c.before)
		}
	}
	for _, c := range []struct {
		cert sshkey.Certificate
		want string
	}{
		{sshkey.Certificate{Before: sshkey.Forever}, "forever"},
		{sshkey.Certificate{After: at("2026-11-22 07:23:00"), Before: sshkey.Forever}, "after 2026-11-22T09:23:00"},
		{sshkey.Certificate{Before: at("2026-11-22 07:23:00")}, "before 2026-11-22T09:23:00"},
		{sshkey.Certificate{After: 1, Before: 2}, "from 1970-01-01T02:00:01 to 1970-01-01T02:00:02"},
	} {
		if got := Validity(c.cert, zone); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
