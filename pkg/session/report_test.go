package session_test

import (
	"testing"

	"pi-key-tools/pkg/session"
)

func TestServer(t *testing.T) {
	for version, want := range map[string]struct {
		openSSH  [2]int
		ok       bool
		punishes bool
	}{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10": {[2]int{9, 2}, true, false},
		"SSH-2.0-OpenSSH_7.4":                     {[2]int{7, 4}, true, false},
		"SSH-2.0-OpenSSH_9.8":                     {[2]int{9, 8}, true, true},
		"SSH-2.0-OpenSSH_10.0p2 Debian-7":         {[2]int{10, 0}, true, true},
		"SSH-2.0-OpenSSH_for_Windows_9.5":         {punishes: true},
		"SSH-2.0-OpenSSH_9":                       {punishes: true},
		"SSH-2.0-dropbear_2025.89":                {},
		"SSH-2.0-Go":                              {punishes: true},
		"":                                        {punishes: true},
	} {
		r := session.Report{ServerVersion: version}
		v, ok := r.OpenSSH()
		if ok != want.ok || ok && v != want.openSSH || r.Punishes() != want.punishes {
			t.Errorf("%q: %v %t, punishes: %t; want %v", version, v, ok, r.Punishes(), want)
		}
	}
}
