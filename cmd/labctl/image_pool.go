package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/parcel"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/provider/image"
	"github.com/labctl/labctl/schema"
)

func newImagePull(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "pull [DIR]",
		Short: "Fetch or make all images of a lab",
		Long: `Fetches, verifies or builds every image that the lab in DIR (default: the current folder) declares, and touches
nothing else. What is there already is left as it is; an interrupted download goes on where it stopped.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := session.New(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), false)
			if err := s.Load(folder(args)); err != nil {
				return err
			}
			if err := s.Away(); err != nil {
				return err
			}
			images, err := localPool()
			if err != nil {
				return err
			}
			var failed []error
			for _, r := range s.Lab.Resources {
				if _, is := r.Body.(*schema.Image); is {
					failed = append(failed, makeImage(cmd.Context(), cmd.OutOrStdout(), images, r))
				}
			}
			return errors.Join(failed...)
		},
	}
}

func newImageList(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the images in the pool",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			images, err := pool(cmd, o)
			if err != nil {
				return err
			}
			all, err := images.Pool().List()
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(all)
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(table, "IMAGE\tSIZE\tMADE\tFROM")
			for _, m := range all {
				from := m.Image.Source
				if m.Image.Build != "" {
					from = "build " + m.Image.Build
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", m.Image.Key, mebibytes(m), m.Built.Local().Format("2006-01-02 15:04"), from)
			}
			return table.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func mebibytes(m *image.Manifest) string {
	var bytes int64
	for _, file := range m.Files {
		bytes += file.Size
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

func newImageVerify(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [IMAGE…]",
		Short: "Compare images with the digests they were kept with",
		Long: `Reads images whole (default: all of them) and compares them with the SHA-256 digests in their manifests. One that differs
is an error; labctl apply makes it anew.`,
		RunE: func(cmd *cobra.Command, keys []string) error {
			images, err := pool(cmd, o)
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				all, err := images.Pool().List()
				if err != nil {
					return err
				}
				for _, m := range all {
					keys = append(keys, m.Image.Key)
				}
			}
			var failed []error
			for _, key := range keys {
				if err := images.Pool().Verify(cmd.Context(), key); err != nil {
					failed = append(failed, err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is whole.\n", key)
			}
			return errors.Join(failed...)
		},
	}
}

func newImagePrune(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "prune",
		Short: "Remove the images that no machine stands on",
		Long: `Removes the images in labctl's pool that no machine of any lab on this host uses, and what interrupted builds left. Where
libvirt cannot be asked, nothing is removed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := openHosts(cmd, o, ".")
			if err != nil {
				return err
			}
			defer s.Close()
			listed, err := s.Engine.List(cmd.Context())
			if err != nil {
				return s.Tell(err)
			}
			used, err := imageUsers(listed, session.DataRoot)
			if err != nil {
				return err
			}
			images, err := pool(cmd, o)
			if err != nil {
				return err
			}
			removed, err := images.Pool().Prune(func(m *image.Manifest) bool { return onImage(used, m.Image.Key) })
			if len(removed) > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "Removed %s.\n", strings.Join(removed, ", "))
			} else if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "Every image is in use.")
			}
			sent, failed := parcel.Prune(session.DataRoot, used)
			if len(sent) > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "Removed what labs elsewhere had sent: %s.\n", strings.Join(sent, ", "))
			}
			return errors.Join(err, failed)
		},
	}
}

// onImage reports whether anything stands on an image.
func onImage(used func(text string) bool, key string) bool {
	return used("/images/"+key+"/") || used(`"key":"`+key+`"`)
}

// imageUsers is a function that tells whether a text is in what describes anything that stands on files of the pool. Machines that a lab has let go of carry no mark any
// more, but their kernel and their overlay disks still name the folder of their image.
func imageUsers(listed []engine.Listed, root string) (func(text string) bool, error) {
	var texts [][]byte
	for _, l := range listed {
		text, err := json.Marshal(l.Object.Body)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	err := filepath.WalkDir(filepath.Join(root, "labs"), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // there is no lab, or the file went meanwhile
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		head, err := headOf(path)
		texts = append(texts, head)
		return err
	})
	return func(part string) bool {
		return slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Contains(text, []byte(part)) })
	}, err
}

// headOf is the beginning of a file: in a qcow2 file the first cluster, which has the name of the file that it overlays
// (QEMU's docs/interop/qcow2.txt).
func headOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<10))
}
