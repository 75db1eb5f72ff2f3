// Barecopy does no more than the network's part of copying a key and proving
// it, with golang.org/x/crypto/ssh: what scripts/bench holds pikeycopy against.
// It judges nothing and keeps nothing safe.
//
//	barecopy ADDRESS USER PASSWORD-FILE KEY HOST-KEY
//
// KEY is a private key file with KEY.pub beside it, HOST-KEY a file with the
// server's public key.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"
)

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: barecopy ADDRESS USER PASSWORD-FILE KEY HOST-KEY")
		os.Exit(2)
	}
	if err := copyAndProve(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
		fmt.Fprintln(os.Stderr, "barecopy:", err)
		os.Exit(1)
	}
}

func copyAndProve(address, user, passwordFile, keyFile, hostKeyFile string) error {
	password, err1 := os.ReadFile(passwordFile)
	private, err2 := os.ReadFile(keyFile)
	public, err3 := os.ReadFile(keyFile + ".pub")
	hostKeyLine, err4 := os.ReadFile(hostKeyFile)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return err
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey(hostKeyLine)
	if err != nil {
		return err
	}
	config := func(method ssh.AuthMethod) *ssh.ClientConfig {
		return &ssh.ClientConfig{
			User:              user,
			Auth:              []ssh.AuthMethod{method},
			HostKeyCallback:   ssh.FixedHostKey(hostKey),
			HostKeyAlgorithms: []string{hostKey.Type()},
		}
	}
	client, err := ssh.Dial("tcp", address, config(ssh.Password(string(bytes.TrimSpace(password)))))
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	session.Stdin = bytes.NewReader(public)
	if err := session.Run("umask 077; mkdir -p .ssh && cat >>.ssh/authorized_keys"); err != nil {
		return err
	}
	proof, err := ssh.Dial("tcp", address, config(ssh.PublicKeys(signer)))
	if err != nil {
		return err
	}
	return proof.Close()
}
