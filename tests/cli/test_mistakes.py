"""A hundred and fifty mistakes on the command line: each gets one line with its remedy, and nothing is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from potstill.cli import main
from potstill.runtime.files import sha256

pytestmark = pytest.mark.slow

MISTAKES: dict[str, tuple[str, ...]] = {
    # The command and the method.
    "distil": ("unknown command 'distil'", "'distill'"),
    "--dataset digits": ("unknown command '--dataset'", "potstill --help"),
    "Distill dm": ("'distill'",),
    "help distill": ("unknown command 'help'",),
    "distill": ("no method is named", "datadam"),
    "distill --ipc 1 dm": ("'dm' must come first", "potstill distill dm"),
    "distill datdam": ("unknown method 'datdam'", "'datadam'"),
    "distill DM": ("unknown method 'DM'", "'dm'"),
    "distill dm mtt": ("'mtt' is not expected here",),
    "distill dm digits": ("'digits' is not expected here",),
    "distill nowhere:Method": ("no module 'nowhere'", "PYTHONPATH"),
    "distill os.path:Method": ("Method", "os.path"),
    "distill pathlib:Path": ("pathlib:Path is not a usable method", "derive it from Method"),
    "distill ../dm.py:DM": ("does not name a method", "module:"),
    "distill :": ("does not name a method",),
    # Options that do not exist, are doubled or lack their value.
    "distill dm --ipcc 3": ("there is no option --ipcc; did you mean --ipc?",),
    "distill dm --images-per-class 3": ("there is no option --images-per-class",),
    "distill dm -ipc 3": ("there is no option -ipc",),
    "distill dm --ipc": ("--ipc needs a value",),
    "distill dm --ipc --seed 1": ("--ipc",),
    "distill dm --ipc 1 --ipc 2": ("--ipc is given twice", "give it once"),
    "distill dm --ipc=1 --ipc 2": ("--ipc is given twice",),
    "distill dm --zca --no-zca": ("--zca is given twice",),
    "evaluate run --recipe quick --recipe modern": ("--recipe is given twice",),
    "distill dm --zca yes": ("'yes' is not expected here",),
    "distill dm --student-steps 3": ("there is no option --student-steps",),
    "distill random --iterations-per-second 3": ("--iterations-per-second",),
    "evaluate run --ipc 3": ("--ipc",),
    "report run --out page": ("--out",),
    # Values of the wrong type.
    "distill dm --ipc many": ("--ipc takes a whole number, not 'many'",),
    "distill dm --ipc 1.5": ("--ipc takes a whole number, not '1.5'",),
    "distill dm --ipc 1e3": ("--ipc takes a whole number, not '1e3'",),
    "distill dm --ipc ''": ("--ipc takes a whole number",),
    f"distill dm --ipc {'9' * 5000}": ("--ipc takes a smaller number",),
    "distill dm --learning-rate big": ("--learning-rate takes a number, not 'big'",),
    "distill dm --learning-rate 0,1": ("--learning-rate takes a number, not '0,1'",),
    "distill dm --start reel": ("--start takes average", "not 'reel'"),
    "distill dm --precision half": ("--precision takes auto, bfloat16, float32 or float64, not 'half'",),
    "distill dm --compile yes": ("--compile takes auto, off or on, not 'yes'",),
    "evaluate run --executor cluster": ("unknown executor 'cluster'", "--executor here"),
    "search run --executor processes:0": ("--executor processes:0 does not name the number of processes",),
    "compare run random --executor processes:two": ("--executor processes:two does not name", "processes:2"),
    "experts --executor processes:-1": ("--executor processes:-1 does not name",),
    "evaluate run --executor dask:": (
        "--executor dask: does not name the address",
        "dask:127.0.0.1:8786",
    ),
    "evaluate run --executor dask:absent.json": ("there is no scheduler file absent.json", "dask scheduler"),
    "search run --executor slurm:gpu:many": ("--executor slurm:gpu:many does not name a partition", "slurm:gpu:16"),
    "reproduce dd-mnist --executor 2": ("unknown executor '2'",),
    "distill dc --distance euclid": ("--distance takes", "'euclid'"),
    "distill mtt --keep all": ("--keep takes", "'all'"),
    "evaluate run --repeats five": ("--repeats takes a whole number",),
    "reproduce dd-mnist --scale tenth": ("--scale takes a number",),
    "list cats": ("'cats' is not datasets, methods, networks, recipes or reproductions",),
    "list": ("methods|datasets|networks|recipes|reproductions is not given",),
    "export run --format jpeg": ("--format takes hub, imagefolder, npz or parquet, not 'jpeg'",),
    "export run": ("--format is not given",),
    # Guarantees that are none.
    "distill dp-dm --epsilon 0": ("--epsilon 0.0 is not positive",),
    "distill dp-dm --epsilon nan": ("--epsilon",),
    "distill dp-dm --delta 0": ("--delta 0.0 is not positive",),
    "distill dp-dm --delta 0.001": ("--delta 0.001 is not below 1/1,295", "use --delta 0.0001 or less"),
    "distill dp-dm --epsilon 1e9": ("--epsilon 1e+09 protects nothing",),
    "distill dp-dm --group 1000": ("--group 1000 is more than the", "smallest class"),
    "distill dp-dm --group 50 --queries 5 --start real": ("--start real reads real images", "leave --start out"),
    "distill dp-dm --group 50 --queries 5 --zca": ("--zca is fitted on the real images", "leave --zca out"),
    "distill dp-dm --group 50 --queries 5 --validate-every 9": ("--validate-every chooses", "--validate-every 0"),
    "distill dp-dm --group 50 --queries 5 --network lenet:norm=batch": ("norm",),
    "distill dp-dm --group 50 --queries 5 --network convnet:norm=batch": ("batch norms", "--network convnet"),
    "distill psg --queries 5 --batch-real 2000": ("--batch-real 2000 is more than the 1295 training images",),
    "distill psg --queries 5 --iterations 6": (
        "--iterations 6 asks for more private gradients than the 5",
        "--queries 6",
    ),
    "distill psg --queries 0": ("--queries 0 is too small",),
    "distill dance": ("--experts is not given", "potstill experts"),
    "distill ncfm --experts nowhere": ("there are no experts in nowhere",),
    "experts --last-only --ends-only": ("--last-only and --ends-only exclude each other",),
    "experts --scores el2n --ends-only": ("--ends-only keeps only the first and the last",),
    "distill rded --candidates 2 --features pixels": ("--candidates 2 are fewer than the 10 pictures",),
    "distill auto --time-limit 5s": ("--time-limit 5s is too short for anything", "--time-limit 20s or more"),
    "distill auto --ipc 0": ("--ipc 0 is not a number of images", "whole number from 1 on"),
    "distill auto --resume": ("--resume has settings already", "leave auto out"),
    "distill auto --batch-reel 3": ("--batch-reel",),
    "leaderboard": ("no folder is named",),
    "leaderboard nowhere": ("nowhere is not a directory",),
    # Numbers out of range.
    "distill dm --ipc 0": ("--ipc 0 is too small", "--ipc 1 or more"),
    "distill dm --ipc -3": ("--ipc -3 is too small",),
    "distill dm --iterations -1": ("--iterations -1 is too small",),
    "distill dm --validate-every -1": ("--validate-every -1 is too small",),
    "distill dm --image-size 0": ("--image-size 0 is too small",),
    "distill dm --batch-real 0": ("--batch-real 0 is too small", "1 or more"),
    "distill dm --learning-rate inf": ("--learning-rate inf is not a finite number",),
    "distill dm --learning-rate 1e400": ("--learning-rate inf is not a finite number",),
    "distill dm --learning-rate nan": ("--learning-rate nan is not a finite number",),
    "distill dm --learning-rate -1": ("--learning-rate -1.0 is too small",),
    "distill dm --momentum 2": ("--momentum 2.0 is not in [0, 1)",),
    "distill dm --momentum -0.5": ("--momentum -0.5 is not in [0, 1)",),
    "distill datadam --power inf": ("--power inf",),
    "distill datadam --loss-scale nan": ("--loss-scale nan",),
    "distill datadam --network-steps 5": ("--network-steps 5 has no effect", "--network-iterations 2"),
    "distill dd --decay-every 0": ("--decay-every 0 is too small",),
    "distill dd --initial-rate 0": ("--initial-rate 0.0 is not positive",),
    "distill dd --ipc 3 --batches 2": ("3 images per class cannot be divided into 2 equal batches", "--batches"),
    "distill ld --certainty 1": ("--certainty 1.0 is not in [0, 1)",),
    "distill dc --outer-loops 0": ("--outer-loops 0 is too small",),
    "distill dsa --network-batch 0": ("--network-batch 0 is too small",),
    "distill idc --network-momentum 1": ("--network-momentum 1.0 is not in [0, 1)",),
    "distill frepo --networks 0": ("--networks 0 is too small",),
    "distill ncfm --frequencies 0": ("--frequencies 0 is too small",),
    "distill dm --clustering-interval 0": ("--clustering-interval 0 is too small",),
    "distill atom --channel-power -1": ("--channel-power -1.0 is too small",),
    "distill pad --ratio 1": ("--ratio 1.0 is not in [0, 1)",),
    "distill mtt --student-steps 0": ("--student-steps 0 is too small",),
    "distill datm --earliest-start 9 --latest-start 9": ("--earliest-start 9 is not below --latest-start 9",),
    "distill herding --teacher-epochs 0": ("--teacher-epochs 0 is too small",),
    "distill optimised-random --tries 0": ("--tries 0 is too small",),
    "distill dm --ipc 100000000 --start noise": ("--ipc 100000000 needs", "GB"),
    "distill dm --memory-limit much": ("'much' is not a size of memory", "4G"),
    "distill dm --memory-limit 100M": ("dm needs about", "may take 100 MB"),
    "evaluate run --memory-limit 0": ("'0' is not a size of memory",),
    "distill dm --time-limit 0": ("a duration of '0' leaves no time", "10m"),
    "distill dm --time-limit soon": ("'soon' is not a duration", "10m"),
    "distill dm --time-limit -5m": ("'-5m' is not a duration",),
    "distill dm --time-limit 10 --resume --out absent": ("no run to resume in absent",),
    "evaluate run --repeats 0": ("--repeats 0 is too small",),
    "evaluate run --full-repeats 0": ("--full-repeats 0 is too small",),
    "evaluate run --full-epochs 0": ("--full-epochs 0 is too small",),
    "compare run random --repeats 0": ("--repeats 0 is too small",),
    "search run --top 0": ("--top 0 is too small",),
    "search run --repeats 0": ("--repeats 0 is too small",),
    "search run --full-epochs 0": ("--full-epochs 0 is too small",),
    "search run --candidates 0": ("--candidates 0 is too small",),
    "search run --candidates 23": ("23 candidates cannot be drawn from 22", "--candidates 22"),
    "search run --full-sample -1": ("--full-sample -1 is too small",),
    "search run --full-images 0": ("--full-images 0 is too small",),
    "search run --full-sample 23": ("23 candidates cannot be drawn", "--full-sample"),
    "search run --full-images 1000000": ("1,000,000 images are not a part of the",),
    "experts --count 0": ("--count 0 is too small",),
    "experts --epochs 0": ("--epochs 0 is too small",),
    "experts --batch-size 0": ("--batch-size 0 is too small",),
    "experts --learning-rate inf": ("--learning-rate inf",),
    "experts --momentum 1": ("--momentum 1.0 is not in [0, 1)",),
    "experts --weight-decay -1": ("--weight-decay -1.0 is too small",),
    "experts --gsam-rho nan": ("--gsam-rho nan",),
    "experts --at-once 0": ("--at-once 0 is too small",),
    "experts --out new/place --count 1000000000 --network convnet:width=8": ("the disk of new/place has", "--count"),
    "reproduce dd-mnist --scale 0": ("--scale 0 is outside (0, 1]",),
    "reproduce dd-mnist --scale 2": ("--scale 2 is outside (0, 1]",),
    "reproduce dd-mnist --scale nan": ("--scale nan",),
    "reproduce dd-mnist --repeats 0": ("--repeats 0 is too small",),
    "reproduce dd-mnist --time-limit 0s": ("a duration of '0s' leaves no time",),
    # Names of datasets, networks, recipes, devices.
    "distill dm --dataset mnst": ("unknown dataset 'mnst'", "'mnist'"),
    "distill dm --dataset ''": ("the dataset has no name",),
    "distill dm --dataset slides": ("slides has annotations.csv and images, as MHIST has", "mhist:slides"),
    "distill random --ipc 5 --dataset few": (
        "has 1 training image, fewer than 5",
        "2 more are held out",
        "with folders train, validation and test",
    ),
    "distill dm --ipc 5 --dataset few": ("2 more are held out for validation and test", "--start noise"),
    "distill dm --dataset absent/folder": ("absent/folder", "check the path"),
    "distill dm --dataset text.txt": ("text.txt",),
    "distill dm --dataset broken.npz": ("broken.npz",),
    "distill dm --dataset empty": ("empty",),
    "distill dm --dataset flat": ("flat", "class"),
    "distill dm --dataset one": ("fewer than two classes",),
    "distill dm --dataset mhist:absent": ("absent",),
    "distill dm --dataset mhist:photos": ("photos",),
    "distill dm --dataset run": ("run",),
    "distill random --ipc 500": ("fewer than 500 per class", "--ipc"),
    "distill dm --ipc 500": ("fewer than 500 per class", "--start noise"),
    "distill dm --data-root absent --dataset mnist": ("absent", "--data-root"),
    "distill dm --network convent": ("unknown network 'convent'", "'convnet'"),
    "distill dm --network convnet:depht=3": ("no option 'depht'", "depth"),
    "distill dm --network convnet:depth=three": ("depth='three'",),
    "distill dm --network convnet:depth=4:depth=5": ("'depth' twice",),
    "distill dm --network convnet:depth": ("'depth' is not an option", "convnet:depth=4"),
    "distill dm --network convnet:depth=9": ("too small",),
    "distill dm --network convnet:width=999999999": ("width='999999999'; use a whole number from 1 to 10000",),
    "distill dm --network ''": ("unknown network ''",),
    "distill dm --device abacus": ("device 'abacus'", "--device cpu"),
    "distill dm --device cuda:99": ("device 'cuda:99'",),
    "evaluate run --recipe dsa-9": ("unknown recipe 'dsa-9'", "potstill list recipes"),
    "evaluate run --recipe dsa-1000@9": ("unknown recipe 'dsa-1000@9'",),
    "evaluate run --recipe replay": ("no learned steps",),
    "evaluate run --recipe trajectory-1000": ("trajectory-1000", "--recipe dsa-1000"),
    "evaluate run --recipe soft-label": ("soft-label", "--recipe dsa-1000"),
    "evaluate run --labels": ("--labels and --teacher belong together",),
    "evaluate run --teacher experts": ("--labels and --teacher belong together",),
    "evaluate run --labels --teacher absent": ("absent does not exist",),
    "evaluate run --labels --teacher photos": ("photos contains no experts",),
    "evaluate run --labels --teacher absent --baselines none": ("--baselines does not apply to --labels",),
    "evaluate run --networks ,": ("no network is named",),
    "evaluate run --networks convnet,resnet": ("unknown network 'resnet'", "'resnet18'"),
    "evaluate run --baselines random,all": ("unknown baseline 'all'",),
    "evaluate run --initial absent": ("absent",),
    "evaluate run --dataset photos": ("does not fit dataset 'photos'", "number of classes is 10, the dataset's 2"),
    "evaluate run --robustness --baselines random": ("--baselines does not apply to --robustness",),
    "evaluate run --robustness --exchange": ("--exchange does not apply to --robustness",),
    "evaluate run --exchange --recipe replay": ("'replay' replays learned steps", "--recipe dsa-1000"),
    "evaluate run --exchange --repeats 0": ("--repeats 0 is too small",),
    "evaluate run --exchange five": ("'five' is not expected here",),
    "evaluate run --robustness --full-repeats 3": ("--full-repeats does not apply to --robustness",),
    "evaluate run --robustness --networks convnet,mlp": ("one network",),
    "evaluate run --robustness --attacks": ("--attacks does not apply to --robustness",),
    "evaluate run --attacks --baselines random": ("--baselines does not apply to --attacks",),
    "evaluate run --attacks --full-epochs 3": ("--full-epochs does not apply to --attacks",),
    "evaluate run --attacks --epsilons 0.1,2": ("--epsilons 0.1,2 are not all between 0 and 1", "--epsilons 0.1,0.2"),
    "evaluate run --attacks --epsilons small": ("--epsilons takes numbers separated by commas, not 'small'",),
    "evaluate run --attacks --attacked-images 0": ("--attacked-images 0 is too small",),
    "evaluate run --attacks --recipe tuned-300": ("tunes learning rates",),
    "evaluate run --attacks --networks convent": ("unknown network 'convent'", "'convnet'"),
    "evaluate run --epsilons 0.1": ("--epsilons does not apply without --attacks",),
    "evaluate run --robustness --recipe coursework-50": ("no augmentation", "--recipe dsa-1000"),
    "compare run": ("nothing to compare", "herding"),
    "compare": ("nothing to compare",),
    "compare herding run": ("the selection 'herding' comes first", "name a run first"),
    "compare run herdin": ("herdin does not exist", "did you mean 'herding'?"),
    "compare run run": ("named twice",),
    "compare run killed": ("killed was not finished", "--out killed --resume"),
    "compare run random --recipe quik": ("unknown recipe 'quik'",),
    "compare run other --recipe trajectory-1000 --no-full": ("trajectory-1000",),
    "poison --attack stp": ("--attack takes backdoor or step, not 'stp'",),
    "poison --experts 5": ("--experts does not apply to --attack backdoor",),
    "poison --attack step --share 0.1": ("--share does not apply to --attack step",),
    "poison --attack step --experts 5": ("of 5 experts fewer than two are held out", "--experts 10"),
    "poison --attack step --networks lenet,mlp": ("a step is learned for one network",),
    "poison --attack step --target 0": ("class 0 is attacked to be taken for itself",),
    "poison --target ten": ("unknown class for --target 'ten'",),
    "poison --share 2": ("--share 2 is not a part of the training images", "--share 0.01"),
    "poison --side 7": ("a patch of 7×7 pixels does not leave much", "--side"),
    "poison --sources run": ("its images were not tampered with",),
    "poison --recipe tuned-300": ("needs learning rates of each set's own",),
    "poison --images-per-class 0": ("--images-per-class 0 is too small",),
    "continual --steps 10": ("a step would have one class", "--steps 2, or 5"),
    "continual --steps 3": ("cannot be divided into 3 equal steps", "--steps 2"),
    "continual --memory 9": ("a memory of 9 images has none for each of 10 classes", "--memory 10"),
    "continual --memory 5000": ("a class has", "--memory", "--sharing fixed"),
    "continual --memory 0": ("--memory 0 is too small",),
    "continual --memory 10 --memory-bytes 10": ("--memory and --memory-bytes are both given",),
    "continual --memory-bytes 10": ("less than one image",),
    "continual --orders 0": ("--orders 0 is too small",),
    "continual --memories dmm": ("unknown method 'dmm'", "'dm'"),
    "continual --memories absent/set.safetensors": ("absent/set.safetensors does not exist",),
    "continual --memories empty": ("empty",),
    "continual --memories run": ("fewer than the 100 that are needed", "use fewer images"),
    "continual --memories random,random": ("'random' is named twice",),
    "continual --networks convent": ("unknown network 'convent'", "'convnet'"),
    "continual --recipe tuned-300": ("tunes learning rates",),
    "continual --protocol tasks": ("--protocol takes classes or domains, not 'tasks'",),
    "continual --protocol domains": ("--protocol domains needs datasets", "--stages mnist,usps"),
    "continual --protocol domains --stages digits": ("fewer than two stages",),
    "continual --protocol domains --stages digits,digits": ("the stage digits is named twice",),
    "continual --protocol domains --stages digits,photos": ("the classes of digits and photos differ",),
    "continual --protocol domains --stages digits,one": ("fewer than two classes",),
    "continual --protocol domains --stages digits --steps 2": ("--steps does not apply to --protocol domains",),
    "continual --stages digits,usps": ("--stages does not apply to --protocol classes",),
    "continual --protocol domains --stages digits,mnst": ("unknown dataset 'mnst'", "'mnist'"),
    "continual --sharing equal": ("--sharing takes fixed or shrinking, not 'equal'",),
    "continual --dataset photos": ("photos cannot be divided into 5 equal steps",),
    "continual --out text.txt": ("text.txt",),
    "federated --clients 10000": ("10,000 clients are more than the", "--clients"),
    "federated --clients 0": ("--clients 0 is too small",),
    "federated --alpha 0": ("--alpha 0.0 is not positive",),
    "federated --ipc ten": ("--ipc takes whole numbers joined by +, not 'ten'", "10+1"),
    "federated --ipc 0": ("--ipc 0 is too small",),
    "federated --ipc 10000": ("no client has as many images of a class", "--ipc"),
    "federated --per-client 2": ("--per-client does not apply to --partition dirichlet",),
    "federated --partition iid --alpha 1": ("--alpha does not apply to --partition iid",),
    "federated --partition classes --per-client 11": ("more than the 10 classes", "--per-client"),
    "federated --partition shards --per-client 1000": ("cannot be cut into", "--per-client"),
    "federated --partition skewed": ("--partition takes", "dirichlet", "not 'skewed'"),
    "federated --methods dm+dmm": ("unknown method 'dmm'", "'dm'"),
    "federated --methods dm:batch_rael=64": ("unknown setting 'batch_rael'", "batch_real"),
    "federated --methods dm:batch_real=many": ("dm:batch_real=many: batch_real = 'many' is not of type int",),
    "federated --methods run": ("run is a set, made of no client's images",),
    "federated --refine -1": ("--refine -1 is too small",),
    "federated --refine 2 --radius -1": ("--radius -1.0 is too small",),
    "federated --refine 2 --methods dm,dc": (
        "dc does not match networks near given weights, which --refine takes",
        "dm",
    ),
    "federated --radius 2": ("--radius does not apply without --refine",),
    "distill dm --radius 2": ("--radius 2.0 has no effect without --around",),
    "distill dm --ipc 1 --iterations 1 --around absent.safetensors": ("absent.safetensors does not exist",),
    "distill dm --ipc 1 --iterations 1 --around text.txt": ("text.txt holds no usable weights",),
    "distill datadam --around text.txt --network-iterations 2": ("--network-iterations 2 trains a network", "--around"),
    "federated --fraction 2": ("--fraction 2.0 is more than all clients",),
    "federated --local-rate 0": ("--local-rate 0.0 is not positive",),
    "federated --repeats 0": ("--repeats 0 is too small",),
    "federated --recipe tuned-300": ("tunes learning rates",),
    "federated --out text.txt": ("text.txt",),
    "select": ("SOURCE is not given",),
    "select digits": ("says how much to choose; none is given",),
    "select digits --fraction ten": ("--fraction takes a part, not 'ten'", "10%"),
    "select digits --fraction 150%": ("--fraction 1.5 is not a part",),
    "select digits --fraction nan": ("is not a part",),
    "select digits --fraction 0.1%": ("leaves 8 of 10 classes empty", "--ipc 1"),
    "select digits --ipc 1000": ("class '0' has 178, fewer than 1,000", "--ipc 178"),
    "select digits --ipc 1 --count 3": ("several are given",),
    "select digits --ipc 1 --by kcenter": ("--by takes", "k-center"),
    "select digits --ipc 1 --repeats 3": ("--repeats needs --worth",),
    "select digits --ipc 1 --links": ("--links needs --copy FOLDER",),
    "select digits --ipc 1 --copy new": ("digits has no image files to copy",),
    "select digits --ipc 1 --labels text.txt": ("--labels is for a file of vectors",),
    "select digits --ipc 1 --features text.npy": ("cannot read text.npy",),
    "select digits --ipc 1 --by herding --features absent": ("absent",),
    "select absent.npy --count 3": ("cannot read absent.npy",),
    "select digits --ipc 1 --worth --recipe tuned-300": ("these are real images",),
    "select digits --ipc 1 --by random --out text.txt": ("text.txt",),
    "search run --space convnet-23": ("convnet-23", "convnet-22"),
    "search run --space absent.json": ("cannot read absent.json",),
    "search run --space text.txt": ("text.txt is not valid JSON",),
    "search run --space empty": ("cannot read empty",),
    "search run --space wrong.toml": ("wrong.toml: candidate 'wide': unknown network 'convent'", "'convnet'"),
    "search run --proxies distilled,randon": ("unknown proxy 'randon'", "'random'"),
    "search run --proxies random": ("the set itself is not among the proxies", "--proxies distilled,random"),
    "search run --recipe tuned-300": ("tunes learning rates",),
    "audit": ("RUN|METHOD|SET is not given",),
    "audit absent": ("unknown method 'absent'", "name a run or a set"),
    "audit absent/set.safetensors": ("absent/set.safetensors does not exist",),
    "audit datdam": ("unknown method 'datdam'", "'datadam'"),
    "audit empty": ("empty",),
    "audit cut.safetensors": ("cut.safetensors", "truncated"),
    "audit dm --shadows 3": ("--shadows 3 is odd", "--shadows 4"),
    "audit dm --shadows 0": ("--shadows 0 is too small",),
    "audit dm --pool 5": ("5 images are not a part of",),
    "audit dm --pool 60": ("of which every set needs 10", "--pool", "--images-per-class"),
    "audit dm --images-per-class 0": ("--images-per-class 0 is too small",),
    "audit dm --delta 1.5": ("--delta 1.5 is not in [0, 1)",),
    "audit dm --networks convent": ("unknown network 'convent'", "'convnet'"),
    "audit dm --recipe tuned-300": ("tunes learning rates",),
    "audit dm --recipe replay": ("replays learned steps, which dm has none of",),
    "audit dm --dataset mnst": ("unknown dataset 'mnst'", "'mnist'"),
    "audit run --dataset photos": ("the set does not fit dataset 'photos'",),
    "audit run --out text.txt": ("text.txt",),
    "reproduce": ("TABLE is not given",),
    "reproduce dd-mnst": ("unknown reproduction 'dd-mnst'", "'dd-mnist'"),
    "reproduce dd-mnist --rows fixed": ("no row 'fixed'",),
    "reproduce datadam-coursework-mhist": ("own copy of the images", "--dataset mhist:FOLDER"),
    "cite": ("no method is named",),
    "cite nobody": ("unknown method 'nobody'",),
    "experts --scores el2m": ("unknown score 'el2m'", "'el2n'"),
    "experts --network resnet": ("'resnet18'",),
    "experts --dataset mnst": ("'mnist'",),
    # Options that contradict each other.
    "distill datm --start noise": ("chooses the images that it starts from", "leave --start out"),
    "distill herding --start noise": ("chooses the images that it starts from",),
    "experts --scores el2n --last-only": ("--last-only keeps only the last",),
    "experts --epochs 1 --scores forgetting": ("at least two epochs", "--epochs 2"),
    "distill mtt --out new": ("--experts is not given", "potstill experts"),
    "distill mtt --experts absent": ("there are no experts in absent", "potstill experts"),
    "distill mtt --experts empty": ("there are no experts in empty",),
    "distill mtt --experts run": ("there are no experts in run",),
    "distill mtt --ipc 1 --experts experts": ("mlp",),
    "distill mtt --ipc 1 --network mlp:width=8 --experts experts": ("epochs",),
    "distill herding --ipc 1 --features absent": ("absent",),
    "distill dd --ipc 1 --initial absent": ("absent",),
    "export run --format hub": ("--hub-id OWNER/NAME",),
    "export run --format npz --hub-id me/mine": ("--hub-id me/mine has no effect with --format npz",),
    # Files and folders that are not what they are given for.
    "evaluate": ("RUN|SET is not given",),
    "evaluate absent": ("absent does not exist",),
    "evaluate empty": ("empty",),
    "evaluate photos": ("photos",),
    "evaluate text.txt": ("text.txt",),
    "evaluate cut.safetensors": ("cut.safetensors", "truncated"),
    "evaluate set.pt": ("a PyTorch pickle", "not read"),
    "evaluate run/config.toml": ("config.toml",),
    "evaluate experts/expert-0000.safetensors": ("is not a synthetic set: its format is",),
    "evaluate run --out empty": ("empty",),
    "evaluate run --out text.txt/evaluation.json": ("text.txt",),
    "evaluate run --exchange --out text.txt/evaluation.json": ("text.txt",),
    "search absent": ("absent does not exist",),
    "search run --out empty": ("empty",),
    "export absent --format npz": ("absent does not exist",),
    "export run --format npz --out text.txt/set": ("text.txt",),
    "export run --format imagefolder --out empty": ("empty already exists",),
    "export run --format parquet --out text.txt": ("text.txt already exists",),
    "report": ("RUN is not given",),
    "report absent": ("absent",),
    "report empty": ("empty",),
    "report run/synthetic.safetensors": ("synthetic.safetensors",),
    "report text.txt": ("text.txt",),
    "compare run other --out text.txt": ("text.txt",),
    "compare run text.txt": ("text.txt",),
    # Folders that exist, and runs to resume.
    "distill dm --out run": ("run already exists", "--resume"),
    "distill dm --out photos": ("photos already exists",),
    "distill dm --out text.txt": ("text.txt already exists",),
    "distill dm --out text.txt/run": ("text.txt",),
    "distill --resume --out absent": ("no run to resume in absent",),
    "distill --resume": ("no method is named",),
    "distill dm --resume --out absent": ("no run to resume in absent",),
    "distill dm --resume --out photos": ("no run to resume in photos",),
    "distill dm --resume --out text.txt": ("text.txt",),
    "distill mtt --resume --out run": ("'dm'",),
    "distill dm --resume --out run --seed 3": ("--seed (",),
    "distill dm --resume --out run --batch-real 256": ("--batch-real (",),
    "distill dm --resume --out run --iterations 9": ("--iterations (",),
    "distill dm --resume --out run --dataset photos": ("--dataset (",),
    "experts --out experts": ("experts already exists", "--resume"),
    "experts --out text.txt": ("text.txt",),
    "experts --resume --out absent": ("there are no experts in absent",),
    "experts --resume --out experts --learning-rate 0.5": ("--learning-rate (",),
    "experts --resume --out run": ("there are no experts in run",),
    # Files of settings.
    "distill --config absent.toml": ("absent.toml", "check the path"),
    "distill --config photos": ("photos",),
    "distill --config text.txt": ("text.txt is not valid TOML",),
    "distill --config set.pt": ("set.pt is not valid TOML",),
    "distill --config empty.toml": ("empty.toml names no method",),
    "distill --config method.toml": ("unknown method 'dmm'", "'dm'"),
    "distill mtt --config good.toml": ("good.toml is for method 'dm'",),
    "distill --config key.toml": ("unknown setting 'ipcs'", "'ipc'"),
    "distill --config hyper.toml": ("unknown setting 'batch_reel'", "'batch_real'"),
    "distill --config type.toml": ("ipc = 'ten' is not of type int", "correct it there"),
    "distill --config range.toml": ("range.toml: ipc=0 is too small", "correct it there"),
    "distill --config infinite.toml": ("infinite.toml: learning_rate=inf is not a finite number",),
    "distill --config choice.toml": ("start = 'nois' is not one of",),
    "distill --config list.toml": ("seed = [1] is not of type int",),
    "distill --config twice.toml": ("twice.toml is not valid TOML",),
}

TINY = ["--network", "mlp:width=8", "--iterations", "2", "--validate-every", "0"]

CONFIGS = {
    "empty": "",
    "good": '[method]\nname = "dm"',
    "method": '[method]\nname = "dmm"',
    "key": 'ipcs = 1\n[method]\nname = "dm"',
    "hyper": '[method]\nname = "dm"\nbatch_reel = 1',
    "type": 'ipc = "ten"\n[method]\nname = "dm"',
    "range": 'ipc = 0\n[method]\nname = "dm"',
    "infinite": '[method]\nname = "dm"\nlearning_rate = inf',
    "choice": 'start = "nois"\n[method]\nname = "dm"',
    "list": 'seed = [1]\n[method]\nname = "dm"',
    "twice": 'ipc = 1\nipc = 2\n[method]\nname = "dm"',
    "wrong": 'narrow = "mlp:width=4"\nwide = "convent:width=256"',
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs, experts, images and files that are not what they seem."""
    place = tmp_path_factory.mktemp("mistakes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(["distill", "dm", "--ipc", "1", *TINY, "--batch-real", "8", "--out", "run"]) == 0
        assert main(["distill", "random", "--ipc", "1", "--network", "mlp:width=8", "--out", "other"]) == 0
        assert main(["distill", "random", "--ipc", "1", "--network", "mlp:width=8", "--out", "killed"]) == 0
        assert main(["experts", "--network", "mlp:width=8", "--count", "1", "--epochs", "1", "--out", "experts"]) == 0
    (place / "killed/manifest.json").unlink()
    images(place / "photos", cat=6, dog=6)
    images(place / "one", cat=6)
    images(place / "few", cat=3, dog=9)
    images(place / "slides/images", **{"": 2})
    (place / "slides/annotations.csv").write_text("Image Name,Majority Vote Label\n")
    images(place / "flat", **{"": 4})
    (place / "empty").mkdir()
    (place / "text.txt").write_text("These are notes, and nothing that Potstill reads.\n")
    (place / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    (place / "cut.safetensors").write_bytes((place / "run/synthetic.safetensors").read_bytes()[:100])
    torch.save({"data": [torch.zeros(10, 1, 8, 8), torch.arange(10)]}, place / "set.pt")
    for name, text in CONFIGS.items():
        (place / f"{name}.toml").write_text(text)
    return place


def images(folder: Path, **counts: int) -> None:
    """A folder of grey images of 8 by 8 pixels for each name."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def contents(place: Path) -> dict[str, str]:
    """Every file with its checksum, and every folder."""
    paths = sorted(place.rglob("*"))
    return {str(path.relative_to(place)): sha256(path.read_bytes()) if path.is_file() else "" for path in paths}


@pytest.fixture(scope="module")
def untouched(workplace: Path) -> dict[str, str]:
    return contents(workplace)


@pytest.mark.parametrize("line", MISTAKES, ids=lambda line: line[:60])
def test_a_mistake_gets_one_line_and_changes_nothing(
    line: str,
    workplace: Path,
    untouched: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(workplace)
    monkeypatch.delenv("POTSTILL_DATA", raising=False)
    capsys.readouterr()
    assert main(shlex.split(line)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (said,) = captured.err.splitlines()
    assert re.fullmatch(r"potstill: [^\s].*; [^\s].*[^.\s]", said), "what is wrong; what to do"
    assert "`" not in said, "options are flags here"
    for words in MISTAKES[line]:
        assert words in said
    assert contents(workplace) == untouched


def test_there_are_a_hundred_and_fifty():
    assert len(MISTAKES) >= 150
