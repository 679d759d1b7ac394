"""Usual values for constructor arguments by their names, as they are called across fields.

A value agrees with the given input where the input says something about it: the number of channels, the extent of an
image, the length of a sequence, the largest token.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Input:
    """The shape of an input tensor. `highest` is its largest number if it holds integers, such as tokens."""

    shape: tuple[int, ...]
    highest: int | None = None

    @property
    def channels(self) -> int | None:
        """The channels of an image, a volume or a signal."""
        return self.shape[1] if self.highest is None and len(self.shape) > 2 else None

    @property
    def features(self) -> int | None:
        """The numbers of each sample or time step."""
        return self.shape[-1] if self.highest is None and len(self.shape) in (1, 2, 3) else None

    @property
    def extent(self) -> int | tuple[int, ...] | None:
        """The extent of an image or a volume, a single number if all axes have the same."""
        axes = self.shape[2:] if self.highest is None and len(self.shape) > 3 else ()
        return axes[0] if len(set(axes)) == 1 else axes or None

    @property
    def length(self) -> int | None:
        """The length of a sequence."""
        tokens = self.highest is not None and len(self.shape) in (1, 2)
        return self.shape[-1] if tokens else self.shape[1] if len(self.shape) == 3 else None


def _vocabulary(given: Input) -> int | None:
    return None if given.highest is None else max(1000, given.highest + 1)


def _longest(given: Input) -> int | None:
    return None if given.length is None else max(128, given.length)


def _extent_of(axis: int) -> Callable[[Input], Any]:
    return lambda given: given.shape[axis] if given.highest is None and len(given.shape) > 3 else None


def _dividing(*sizes: int) -> Callable[[Input], Any]:
    """Return the first of some sizes that divides all axes of an image."""

    def size(given: Input) -> int | None:
        axes = given.shape[2:] if given.highest is None and len(given.shape) > 3 else ()
        return next((each for each in sizes if all(axis % each == 0 for axis in axes)), None) if axes else None

    return size


def _image(given: Input) -> tuple[int, ...] | None:
    return given.shape[1:] if given.highest is None and len(given.shape) > 3 else None


def _same_channels(given: Input) -> int | None:
    """Return the channels of the input for those of the output: an image becomes an image."""
    return given.channels


def _feature_map(given: Input) -> int | None:
    """GCN calls the features of a node `nfeat`; image restoration calls so the channels of its layers."""
    return given.features if len(given.shape) < 4 else 64


_window, _patch = _dividing(8, 7, 4, 2, 1), _dividing(4, 7, 2, 1)
_ADAPTED = (_vocabulary, _longest, _feature_map, _same_channels, _window, _patch)
"""Values that fit the input, and that it does not tell."""

_BY_INPUT: Sequence[tuple[str, Any, Callable[[Input], Any]]] = (
    ("inchannels inchannel inputchannels inputchannel inputnc inchans channels nchannels numchannels inch inc innc", 3,
     lambda given: given.channels),
    ("numinch numinputchannels numinchannels ninchannels ninputchannels inputch inputchans inchan nin numinchans", 3,
     lambda given: given.channels or given.features),
    ("imgchannels imagechannels channelsimg channelsin channelin cin colordim ncolors numcolors colors chin", 3,
     lambda given: given.channels),
    ("nc imgch imgnc imagenc imgchannel imagechannel nchan nchans inputplanes colorchannels channelsinput", 3,
     lambda given: given.channels),
    ("numoutch outnc outchans outputnc numoutchannels numoutputchannels outputchannels", 3,
     _same_channels),
    ("inputdim inputsize infeatures indim ninputs numinputs nfeatures numfeatures inputfeatures insize dimin din", 32,
     lambda given: given.features),
    ("infeats infeat innodefeats nodedim numnodefeatures nodefeatures numfeats nodefeatdim featdim featuredim", 32,
     lambda given: given.features),
    ("encin decin nvars numvars nvariates numvariates nvariables numvariables numseries nseries", 7,
     lambda given: given.features),
    ("nfeat nfeats", 64, _feature_map),
    ("statedim statesize obsdim obssize nobservations numstates nstates observationdim observationsize", 8,
     lambda given: given.features),
    ("seqlen seqlength sequencelength inputlen inputlength inputwindow lookback historylen windowlen inlen", 128,
     lambda given: given.length),
    ("maxlen maxlength blocksize contextlength maxseqlen contextsize maxseqlength maxsequencelength nctx ctxlen", 128,
     _longest),
    ("maxpositionembeddings npositions maxpositions contextwindow maxposition positionsize maxcontext maxlens", 128,
     _longest),
    ("vocabsize nvocab numembeddings ntoken ntokens ntokensvocab vocab vocablen inputvocabsize vocabularysize", 1000,
     _vocabulary),
    ("srcvocabsize tgtvocabsize trgvocabsize sourcevocabsize targetvocabsize srcvocab tgtvocab trgvocab", 1000,
     _vocabulary),
    ("numtokens numvocab nwords numwords dictsize nvocabs outputvocabsize", 1000, _vocabulary),
    ("imagesize imgsize imsize inputresolution imgresolution imageresolution resolution inputimagesize", 32,
     lambda given: given.extent),
    ("imgheight imageheight inputheight imgh", 32, _extent_of(-2)),
    ("imgwidth imagewidth inputwidth imgw", 32, _extent_of(-1)),
    ("inputshape imgshape imageshape observationshape obsshape inshape", (3, 32, 32), _image),
    ("windowsize winsize", 8, _window),
    ("patchsize", 4, _patch),
    ("batchsize", 1, lambda given: given.shape[0] if given.shape else None),
)  # fmt: skip
"""Names, a usual value, and what an input says instead; a name is written without underscores and capitals."""

_USUAL: Sequence[tuple[str, Any]] = (
    ("numclasses nclasses nbclasses classes numclass nclass classnum classcount numlabels nlabels outputdim", 10),
    ("outputsize outdim noutputs numoutputs outputs outfeatures nout outsize outputfeatures outfeats dimout dout", 10),
    ("outchannels outchannel outputchannel outch outc channelsout cout planes filters numfilters chout", 16),
    ("hiddendim hiddensize nhidden hidden hiddenunits numhidden hiddenfeatures hidsize hiddenchannels hfeats", 64),
    ("hiddenfeats hidfeats rnnsize lstmsize gruhidden rnnhidden decoderdim encoderdim attentiondim", 64),
    ("numlayers nlayers nlayer layersnum numblocks nblocks numhiddenlayers numencoderlayers numdecoderlayers", 2),
    ("numlayer depth nb numblock nblock nresblocks numresblocks nresgroups nresnetblocks elayers dlayers nlevels", 2),
    ("encoderlayers decoderlayers enclayers declayers numrnnlayers numgroups numstages rnnlayers lstmlayers", 2),
    ("embeddingdim embeddim embedsize embdim embsize dmodel dim nembd ninp modeldim embed embeddingsize", 64),
    ("modelsize nembed embdsize embeddingsdim worddim wordembdim tokendim emb edim", 64),
    ("numheads nheads nhead heads nhead headsnum numattentionheads numkvheads numkeyvalueheads nkvheads numhead", 4),
    ("attentionheads encoderheads decoderheads", 4),
    ("headdim dhead dimhead dk dv", 16),
    ("dropout dropoutp dropoutrate dropoutprob droprate dropprob dropp pdrop pdropout attndropout", 0.1),
    ("hiddendropoutprob attentionprobsdropoutprob attentiondropout embdpdrop residpdrop attnpdrop", 0.1),
    ("hiddendropout embdropout droppathrate droppath attndroprate resiscale resscale ffdropout", 0.1),
    ("dimfeedforward dff ffndim nhid feedforwarddim mlpdim ffdim dinner intermediatesize ffnhidden ffhidden", 128),
    ("ffndimension feedforwardsize ffnsize ffsize innerdim timeembdim timedim timeembeddingdim tembdim mlphidden", 128),
    ("latentdim zdim nz latentsize noisedim codedim zsize latentchannels numgrowch gc growthrate", 32),
    ("ngf ndf basechannels features basewidth basedim modelchannels basech initfeatures basefilters nfilters", 32),
    ("nf numfeat midchannels ndim featurechannels numfeatures0 ch", 64),
    ("upscale scale upscalefactor scalefactor upsamplefactor srscale srfactor upfactor sf upsample", 4),
    ("depths", (2, 2)),
    ("mlpratio", 4.0),
    ("expand expansion expansionfactor", 2),
    ("negativeslope", 0.2),
    ("rgbrange", 255),
    ("imgrange temperature resscaling widthmult widthmultiplier depthmult maxaction actionbound maxvalue", 1.0),
    ("layernormeps layernormepsilon eps normeps rmsnormeps epsilon", 1e-5),
    ("initializerrange initstd", 0.02),
    ("ropetheta", 10000.0),
    ("typevocabsize", 2),
    ("nexperts numexperts", 4),
    ("topk numexpertspertok numactiveexperts", 2),
    ("rank lorarank", 4),
    ("dstate", 16),
    ("dconv", 4),
    ("nmels nmel nmelchannels melbins nummels numfreqbins nfreqbins nmelbins", 80),
    ("nmfcc", 40),
    ("samplerate samplingrate sr", 16000),
    ("nfft fftsize winlength windowlength", 512),
    ("hoplength hopsize", 128),
    ("numanchors nanchors na numanchor", 3),
    ("numqueries nqueries", 10),
    ("numkeypoints nkeypoints numjoints njoints", 17),
    ("numrelations numrels nrelations", 4),
    ("edgedim edgefeatures edgefeats", 8),
    ("predlen predictionlength horizon forecasthorizon outputlen targetlen outlen outputwindow forecastlen", 24),
    ("labellen", 48),
    ("actiondim actionsize nactions numactions actdim actsize actionspace", 4),
    ("hiddensizes hiddendims fcdims mlpdims", (64, 64)),
    ("nagents numagents", 2),
    ("numatoms natoms", 51),
    ("timesteps ntimesteps numtimesteps numtraintimesteps diffusionsteps noisesteps", 1000),
    ("chmult dimmults channelmult channelmults channelmultipliers chmults", (1, 2)),
    ("attentionresolutions attnresolutions", ()),
    ("contextdim conddim crossattentiondim", 64),
    ("betastart", 1e-4),
    ("betaend", 0.02),
    ("reduction reductionratio", 4),
    ("kernelsize kernel ksize", 3),
    ("stride groups dilation dilationrate", 1),
    ("paddingidx padidx padtoken padidxsrc srcpadidx trgpadidx tgtpadidx padtokenid padid padindex bostokenid", 0),
    ("eostokenid startoken sostokenid seed", 0),
    ("bias qkvbias usebias usebn usebatchnorm batchnorm", True),
    ("pretrained bidirectional verbose debug usecheckpoint tieweights gradientcheckpointing", False),
    ("weights logger", None),
    ("device", "cpu"),
)

_KNOWN: Mapping[str, tuple[Any, Callable[[Input], Any] | None]] = {
    **{name: (value, None) for names, value in _USUAL for name in names.split()},
    **{name: (value, told) for names, value, told in _BY_INPUT for name in names.split()},
}
_OF_TYPE: Mapping[Any, Any] = {int: 16, float: 0.1, bool: False, "int": 16, "float": 0.1, "bool": False}
_PLAIN = {"int": int, "float": float, "bool": bool, "str": str}


@dataclass(frozen=True, slots=True)
class Assumed:
    """An assumed value; `told` says that the given input tells it."""

    value: Any
    told: bool


def assumed(name: str, given: Input | None, annotation: Any = inspect.Parameter.empty) -> Assumed | None:
    """Return the value to assume for a name, or for an annotated type; `None` if there is none."""
    known = _KNOWN.get(name.lower().replace("_", ""))
    kind = _PLAIN.get(annotation) if isinstance(annotation, str) else annotation
    if known is not None:
        usual, ask = known
        answer = ask(given) if ask and given is not None else None
        value = usual if answer is None else answer
        value = float(value) if kind is float and type(value) is int else value
        if value is None or kind not in (int, float, bool, str) or isinstance(value, kind):
            return Assumed(
                list(value) if isinstance(value, tuple) and answer is None else value,
                answer is not None and ask not in _ADAPTED,
            )
    return Assumed(_OF_TYPE[annotation], told=False) if _is_typed(annotation) else None


def _is_typed(annotation: Any) -> bool:
    return isinstance(annotation, type | str) and annotation in _OF_TYPE
