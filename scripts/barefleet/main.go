// Barefleet does no more than the network's part of working on one target or
// many with golang.org/x/crypto/ssh: what scripts/bench holds the programs
// against. It judges nothing and keeps nothing safe.
//
//	barefleet [-copy] [-j N] USER PASSWORD-FILE KEY HOST-KEY <ADDRESSES
//
// It logs in to each address by the key; with -copy it puts the key there first,
// by the password, on a connection of its own. KEY is a private key file with
// KEY.pub beside it, HOST-KEY a file with the public key of all servers.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

func main() {
	copying := flag.Bool("copy", false, "put the key there first")
	jobs := flag.Int("j", 256, "`how many` at once")
	flag.Parse()
	if flag.NArg() != 4 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*copying, *jobs, flag.Arg(0), flag.Arg(1), flag.Arg(2), flag.Arg(3)); err != nil {
		fmt.Fprintln(os.Stderr, "barefleet:", err)
		os.Exit(1)
	}
}

func run(copying bool, jobs int, user, passwordFile, keyFile, hostKeyFile string) error {
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
		return &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{method},
			HostKeyCallback: ssh.FixedHostKey(hostKey), HostKeyAlgorithms: []string{hostKey.Type()}}
	}
	byPassword, byKey := config(ssh.Password(string(bytes.TrimSpace(password)))), config(ssh.PublicKeys(signer))
	one := func(address string) error {
		if copying {
			client, err := ssh.Dial("tcp", address, byPassword)
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
		}
		client, err := ssh.Dial("tcp", address, byKey)
		if err != nil {
			return err
		}
		return client.Close()
	}
	var failed atomic.Int64
	var all sync.WaitGroup
	room := make(chan struct{}, jobs)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		address := lines.Text()
		room <- struct{}{}
		all.Go(func() {
			if err := one(address); err != nil {
				failed.Add(1)
				fmt.Fprintln(os.Stderr, address, err)
			}
			<-room
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%d failed", n)
	}
	return lines.Err()
}
