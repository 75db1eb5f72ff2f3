package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/firstboot"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshkey"
)

// formats are the forms that a public key can be printed in.
var formats = []string{"openssh", "rfc4716", "pem", "pkcs8", "authorized_keys", "cloud-init", "imager"}

// A format is the form of a public key, and the options before it where the
// form has room for them.
type format struct{ name, options string }

func (f format) check() error {
	switch {
	case !slices.Contains(formats, f.name):
		return fmt.Errorf("--format is %s, not %q", strings.Join(formats, ", "), f.name)
	case f.options == "":
		return nil
	case slices.Index(formats, f.name) < slices.Index(formats, "authorized_keys"):
		return errors.New("--options is for --format authorized_keys, cloud-init or imager")
	}
	if err := authorizedkeys.CheckOptions(f.options); err != nil {
		return fmt.Errorf("--options: %w", err)
	}
	return nil
}

// print prints a public key in its form.
func (c *command) print(key sshkey.Public) error {
	text := key.Line() + "\n"
	if c.format.options != "" {
		text = c.format.options + " " + text
	}
	switch line := strings.TrimSuffix(text, "\n"); c.format.name {
	case "rfc4716":
		text = key.RFC4716()
	case "pem", "pkcs8":
		block, err := identity.PublicPEM(key, c.format.name)
		if err != nil {
			return err
		}
		text = string(block)
	case "cloud-init":
		text = "#cloud-config\nssh_authorized_keys:\n  - " + firstboot.YAML(line) + "\n"
	case "imager":
		text = "config_version = 1\n\n[ssh]\nenabled = true\npassword_authentication = false\nauthorized_keys = [ " + firstboot.TOML(line) + " ]\n"
	}
	c.Print([]byte(text))
	return nil
}
