package sshkey

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What ssh-keygen has signed is taken apart, and put together to the same
// bytes again.
func TestCertificateOfSSHKeygen(t *testing.T) {
	need(t, "ssh-keygen")
	dir := t.TempDir()
	for _, name := range []string{"ca", "ed25519"} {
		mustKeygen(t, dir, "-q", "-t", "ed25519", "-N", "", "-f", name)
	}
	mustKeygen(t, dir, "-q", "-t", "ecdsa", "-N", "", "-f", "ecdsa")
	ca, err := ParsePublic(read(t, filepath.Join(dir, "ca.pub")))
	if err != nil {
		t.Fatal(err)
	}
	ca.Comment = ""
	clear := []string{"-O", "clear"}
	for _, c := range []struct {
		key  string
		args []string
		want Certificate
	}{
		{"ed25519", []string{"-n", "pi,admin", "-z", "7", "-V", "0x10:0x20", "-O", "clear", "-O", "permit-pty", "-O", "force-command=true", "-O", "verify-required"},
			Certificate{Serial: 7, User: true, Principals: []string{"pi", "admin"}, After: 16, Before: 32,
				Critical: []CertOption{ValueOption("force-command", "true"), {Name: "verify-required"}}, Extensions: []CertOption{{Name: "permit-pty"}}}},
		{"ecdsa", append(clear, "-h", "-n", "pi.local"), Certificate{Principals: []string{"pi.local"}, Before: Forever}},
		{"ecdsa", clear, Certificate{User: true, Before: Forever}},
	} {
		mustKeygen(t, dir, append(append([]string{"-q", "-s", "ca", "-I", "the id"}, c.args...), c.key+".pub")...)
		public, err := ParsePublic(read(t, filepath.Join(dir, c.key+"-cert.pub")))
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := public.Certificate()
		if err != nil || !ok {
			t.Fatalf("%q: %v, %v", c.args, ok, err)
		}
		w := c.want
		plain, _ := ParsePublic(read(t, filepath.Join(dir, c.key+".pub")))
		if !got.Key.Equal(plain) || !got.CA.Equal(ca) || got.Algorithm != "ssh-ed25519" || got.ID != "the id" || got.Serial != w.Serial || got.User != w.User ||
			!slices.Equal(got.Principals, w.Principals) || got.After != w.After || got.Before != w.Before ||
			!slices.Equal(got.Critical, w.Critical) || !slices.Equal(got.Extensions, w.Extensions) {
			t.Errorf("%q: %+v, want %+v", c.args, got, w)
		}
		at := &wire{rest: public.Blob}
		at.string()
		nonce := at.string()
		d, _ := dissect(public.Blob)
		again, err := got.Sign(nonce, func(data []byte) ([]byte, error) {
			if !bytes.HasPrefix(public.Blob, data) {
				t.Errorf("%q: other bytes are signed", c.args)
			}
			return d.cert.signed, nil
		})
		if err != nil || !bytes.Equal(again.Blob, public.Blob) {
			t.Errorf("%q: put together it is another: %v", c.args, err)
		}
	}

	// A list that goes on after its end is damage.
	public, _ := ParsePublic(read(t, filepath.Join(dir, "ed25519-cert.pub")))
	torn := bytes.Replace(public.Blob, []byte("\x00\x00\x00\x02pi"), []byte("\x00\x00\x00\x03pi"), 1)
	if _, ok, err := (Public{Type: public.Type, Blob: torn}).Certificate(); !ok || err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("torn: %v, %v", ok, err)
	}
	if _, ok, err := ca.Certificate(); ok || err != nil {
		t.Errorf("a plain key: %v, %v", ok, err)
	}
	if _, err := (Certificate{Key: public}).Sign(nil, nil); err == nil {
		t.Error("a certificate is certified")
	}
	if _, err := (Certificate{Key: Public{Type: "new", Blob: appendString(appendString(nil, "new"), "x")}}).Sign(nil, nil); err == nil {
		t.Error("a key of a type that nobody knows is certified")
	}
	if v := (CertOption{Data: "x"}).Value(); v != "" {
		t.Errorf("the value of what is no string is %q", v)
	}
}

// A certificate of what bytes ever is refused, or taken apart and put together to
// itself.
func FuzzCertificate(f *testing.F) {
	key, err := ParsePublic(ed25519Line)
	if err != nil {
		f.Fatal(err)
	}
	cert := Certificate{Key: key, User: true, ID: "me", Principals: []string{"pi"}, Before: Forever, Critical: []CertOption{ValueOption("force-command", "true")},
		Extensions: []CertOption{{Name: "permit-pty"}}, CA: key}
	seed, err := cert.Sign([]byte("nonce"), func([]byte) ([]byte, error) { return appendString(nil, "ssh-ed25519"), nil })
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Blob)
	f.Add(key.Blob)
	f.Fuzz(func(t *testing.T, blob []byte) {
		p, err := ParseBlob(blob, "")
		if err != nil {
			return
		}
		c, ok, err := p.Certificate()
		if !ok || err != nil {
			return
		}
		d, _ := dissect(blob)
		if c.User != (d.cert.typ == userCertificate) || !c.User && d.cert.typ != hostCertificate {
			return // a type that is neither
		}
		w := &wire{rest: blob}
		w.string()
		again, err := c.Sign(w.string(), func([]byte) ([]byte, error) { return d.cert.signed, nil })
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Blob) == len(blob) && !bytes.Equal(again.Blob, blob) { // else the field that is reserved is not empty
			t.Fatalf("%x became %x", blob, again.Blob)
		}
	})
}
