package main

import (
	"encoding/json"
	"fmt"
	"io"

	"reversehttp/server/account"
)

// admin are the commands for the operator of a gateway.
type admin struct {
	Key          adminKey          `cmd:"" help:"Keys of accounts."`
	Takedown     adminTakedown     `cmd:"" help:"Take down a label, or all labels of an address, and print what is known about them as JSON."`
	Takedowns    adminTakedowns    `cmd:"" help:"Print the labels that are taken down, in JSON lines."`
	RestoreLabel adminRestoreLabel `cmd:"" help:"Let a label that was taken down be claimed again."`
	Backup       adminBackup       `cmd:"" help:"Write a backup of a running gateway's --data to a file."`
	Ready        adminReady        `cmd:"" help:"Exit with 0 if a gateway accepts visitors and programs, as a health check does."`
	Restore      adminRestore      `cmd:"" help:"Restore a backup into a directory for --data, while no gateway uses it."`
}

// doer is a command that runs to its end: it neither serves nor asks for recordings.
type doer interface {
	do(stdout, stderr io.Writer) error
}

// adminKey are the commands about keys.
type adminKey struct {
	New adminKeyNew `cmd:"" help:"Mint a key for an account of a gateway, and print it once."`
}

// adminKeyNew mints a key. Only its hash is kept: a lost key is replaced by another.
type adminKeyNew struct {
	Name     string   `arg:"" help:"Account that gets the key."`
	Accounts string   `placeholder:"FILE" help:"File of the gateway's --accounts, which gets the hash of the key. Default: print the entry for it."`
	Labels   []string `placeholder:"PATTERN,…" help:"Labels that only this account may claim, such as ann,ann-*."`
}

func (c *adminKeyNew) do(stdout, stderr io.Writer) error {
	if !account.ValidName(c.Name) {
		return &failure{exitUsage, fmt.Errorf("the name %q: use 1 to 64 letters, digits and ._@-, beginning with a letter or digit", printable(c.Name))}
	}
	for _, pattern := range c.Labels {
		if !account.ValidPattern(pattern) {
			return &failure{exitUsage, fmt.Errorf("--labels=%s: use lower case letters, digits, hyphens, and * for any number of them", printable(pattern))}
		}
	}
	key := account.NewKey()
	hash := account.Hash(key)
	if c.Accounts != "" {
		if err := account.AddKey(c.Accounts, c.Name, hash, c.Labels); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(stderr, "The key of %s, which is shown only now; a gateway with --accounts %s accepts it within 10 s:\n", c.Name, printable(c.Accounts))
		_, err := fmt.Fprintln(stdout, key)
		return err
	}
	entry, err := json.Marshal(account.Account{Name: c.Name, Keys: []string{hash}, Labels: c.Labels})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stderr, "The key of %s, which is shown only now, and the entry for \"accounts\" in the file of --accounts:\n", c.Name)
	_, err = fmt.Fprintf(stdout, "%s\n%s\n", key, entry)
	return err
}
